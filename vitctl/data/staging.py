"""The images of a dataset on this machine's disk: ArrayRecord reads files only."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.staging import staged
from vitctl.data.dataset import STEM
from vitctl.events import Emit, silent


def local_folder(
    dataset: Artifact,
    *,
    splits: Collection[str | None],
    cache: Path | None = None,
    emit: Emit = silent,
) -> Path:
    """A folder with these splits of a dataset (None is none): its own if it is in one and there
    is no `cache`, else a copy; see `staged`."""
    starts = tuple(f"{STEM}-{split}." for split in splits)

    def wanted(name: str) -> bool:
        return not name.startswith(f"{STEM}-") or name.startswith(starts)

    return staged(dataset, wanted=wanted, cache=cache, emit=emit)
