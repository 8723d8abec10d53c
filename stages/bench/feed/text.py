"""The report of `vitctl bench feed` as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping

from stages.bench.feed.spec import PARTS, FeedReport, Part

_TITLES: Mapping[Part, str] = {
    "order": "order arithmetic",
    "reading": "reading records",
    "parsing": "parsing records",
    "decode": "decoding the crop",
    "resize": "resizing",
    "augment": "flip, augmentation, range",
    "hand_over": "batches and hand-over",
}


def as_text(report: FeedReport) -> str:
    """Speeds, processor time by part, and memory over time."""
    first, last = report.memory[0], report.memory[-1]
    lines = [
        f"input        {report.whole.images_per_second:,.0f} images/s, "
        f"{report.whole.cpu_ms:.2f} CPU-ms an image",
        f"decode only  {report.decode_only.images_per_second:,.0f} images/s, "
        f"{report.decode_only.cpu_ms:.2f} CPU-ms an image",
        f"ratio        {report.ratio:.2f} by time, {report.cpu_ratio:.2f} by processor time, "
        f"medians of {report.rounds} rounds",
        "",
        "CPU-ms an image",
    ]
    width = max(map(len, _TITLES.values()))
    lines += [f"  {_TITLES[part]:<{width}}  {report.parts[part]:.3f}" for part in PARTS]
    lines += [
        "",
        f"memory       {first.bytes / 2**20:,.0f} MiB after {first.images:,} images, "
        f"{last.bytes / 2**20:,.0f} MiB after {last.images:,}",
    ]
    return "\n".join(lines)
