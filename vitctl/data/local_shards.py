"""The images of a dataset on this machine's disk: ArrayRecord reads files only."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.staging import staged, staged_before
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
    return staged(dataset, wanted=_wanted(splits), cache=cache, emit=emit)


def copied(
    dataset: Artifact, *, splits: Collection[str | None], cache: Path | None = None
) -> Path | None:
    """The folder of `local_folder` if nothing needs to be copied there, else None."""
    return staged_before(dataset, wanted=_wanted(splits), cache=cache)


def _wanted(splits: Collection[str | None]) -> Callable[[str], bool]:
    starts = tuple(f"{STEM}-{split}." for split in splits)
    return lambda name: not name.startswith(f"{STEM}-") or name.startswith(starts)
