"""A replayed batch as a person and as a program reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stages.replay.spec import Shown
from vitctl.console.table import table


def as_json(shown: Shown) -> dict[str, Any]:
    """What `vitctl replay --json` prints; docs/schemas/batch.schema.json."""
    batch = shown.batch
    return {
        "path": str(shown.run),
        "id": shown.id,
        "step": batch.step,
        "batch": batch.batch,
        "mixup": batch.mixup,
        "images": [
            {
                "row": image.row,
                "id": image.id,
                "key": f"{image.key:016x}",
                "position": image.position,
                "epoch": image.epoch,
                "labels": list(image.labels),
            }
            for image in batch.images
        ],
        "file": str(shown.file) if shown.file else None,
        "kept": str(shown.saved) if shown.saved else None,
    }


def as_text(shown: Shown) -> str:
    """A line an image."""
    batch = shown.batch
    mixed = "" if batch.mixup is None else f", mixed {batch.mixup:.3f} to {1 - batch.mixup:.3f}"
    rows = [
        [str(image.row), str(image.epoch), ", ".join(image.labels) or "-", image.id or "made up"]
        for image in batch.images
    ]
    return "\n".join(_lines(f"step {batch.step}: {batch.batch:,} images{mixed}", rows))


def _lines(title: str, rows: list[list[str]]) -> Iterator[str]:
    yield title
    yield table(("row", "epoch", "classes", "id"), rows)
