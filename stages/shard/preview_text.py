"""What `vitctl shard --dry-run` says, as a person reads it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from stages.shard.answer import ClassCounts, Estimate, Preview, SampledImages
from vitctl.console.table import table
from vitctl.console.tree import bold, fields, warned
from vitctl.data.dataset import Split
from vitctl.ingest.litter import kinds_in_words
from vitctl.ingest.pixels.policy import TREATMENTS
from vitctl.text.quantities import counted, duration, rate, show_bytes

_ALL_CLASSES = 20
_EACH_END = 5
_REJECTS_SHOWN = 5
_KINDS_SHOWN = 8


def as_text(preview: Preview) -> str:
    return "\n".join(_lines(preview))


def _lines(preview: Preview) -> Iterator[str]:
    yield bold(f"{preview.source}, as vitctl shard understands it")
    of_splits = (
        f"{split} {count:,} in {preview.shards[split]:,} shard{'s' * (preview.shards[split] > 1)}"
        for split, count in preview.images.items()
    )
    yield from fields(
        {
            "read as": preview.reading,
            "images": f"{sum(preview.images.values()):,}: {'; '.join(of_splits)}",
            "classes": f"{len(preview.classes):,}" if preview.classes else "none (unlabelled)",
            "files": show_bytes(preview.bytes),
            **({"changes": ", ".join(preview.changes)} if preview.changes else {}),
            **(
                {"not used": kinds_in_words(Counter(preview.skipped), most=_KINDS_SHOWN)}
                if preview.skipped
                else {}
            ),
            **({"exists": preview.finished} if preview.finished else {}),
        }
    )
    if preview.classes:
        yield from ("", *_classes(preview.classes, tuple(preview.images)))
    if preview.sample is not None:
        yield from ("", bold(_title(preview.sample)), *fields(_sample(preview.sample)))
    if preview.estimate is not None:
        yield from ("", bold("all images, by this sample"), *fields(_estimate(preview.estimate)))
    if preview.notes:
        yield from ("", bold("notes"), *(f"  {note}" for note in preview.notes))
    if preview.cautions:
        yield from ("", bold("warnings"), *(f"  {warned('!')} {text}" for text in preview.cautions))
    yield ""
    yield "nothing was stored" + (f"; the sample: {preview.sheet}" if preview.sheet else "")


def _classes(classes: Sequence[ClassCounts], splits: Sequence[Split]) -> Iterator[str]:
    shown: list[ClassCounts | None] = list(classes)
    heading = "images of each class"
    if len(classes) > _ALL_CLASSES:
        by_size = sorted(classes, key=lambda one: (-one.total, one.name))
        shown = [*by_size[:_EACH_END], None, *by_size[-_EACH_END:]]
        heading = f"images of the {_EACH_END} largest and smallest classes"
    rows = [
        ["...", *("" for _ in splits)]
        if one is None
        else [_name(one), *(f"{one.images.get(split, 0):,}" for split in splits)]
        for one in shown
    ]
    yield bold(heading)
    for line in table(("class", *splits), rows).splitlines():
        yield f"  {line}"


def _name(one: ClassCounts) -> str:
    return one.name if one.title in (None, one.name) else f"{one.name} ({one.title})"


def _title(sample: SampledImages) -> str:
    how = "the first ones of their files" if sample.from_the_front else "spread over all"
    return f"a sample of {counted(sample.images, 'image')}, {how}"


def _sample(sample: SampledImages) -> dict[str, str]:
    lines = {}
    if sample.widths is not None and sample.heights is not None:
        low, median, high = (
            f"{width} x {height}"
            for width, height in zip(sample.widths, sample.heights, strict=True)
        )
        lines["pixels"] = f"{median} (median width and height), from {low} to {high}"
    lines["stored"] = f"{show_bytes(sample.bytes)} become {show_bytes(sample.stored_bytes)}"
    if sample.converted:
        lines["as PNG"] = _counts(sample.converted)
    if sample.treatments:
        lines["changed"] = _counts(
            {phrase: sample.treatments.get(name, 0) for name, phrase in TREATMENTS.items()}
        )
    if sample.warnings:
        lines["decoders warn"] = _counts(sample.warnings)
    if sample.rejected:
        shown = [f"{id_}: {why}" for id_, why in sample.rejected.items()][:_REJECTS_SHOWN]
        more = len(sample.rejected) - len(shown)
        lines["rejected"] = f"{len(sample.rejected):,}: " + "; ".join(shown)
        lines["rejected"] += f"; and {more:,} more" if more else ""
    return lines


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)


def _estimate(estimate: Estimate) -> dict[str, str]:
    workers = f"{estimate.workers} worker{'s' * (estimate.workers != 1)}"
    lines = {
        "time": f"about {duration(estimate.seconds)} with {workers} "
        f"({rate(estimate.images_per_second)} images/s)",
        "disk": f"about {show_bytes(estimate.bytes)}",
    }
    if estimate.free_bytes is not None:
        lines["disk"] += f" of {show_bytes(estimate.free_bytes)} free"
        if estimate.bytes > estimate.free_bytes:
            lines["disk"] += ", which is too little"
    if estimate.copied_bytes:
        lines["TMPDIR"] = f"{show_bytes(estimate.copied_bytes)} while the command runs"
    return lines
