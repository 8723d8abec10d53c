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
    is no `cache`, else a copy; see `staged`.

    Description, labels and keys decide what a model learns and what its scores are, and are small:
    their bytes are always compared with those that were published (0.1 s for a million images).
    Shards are compared by size when the artifact is loaded, by content in `vitctl verify --deep`.

    Raises InputError if a file is not as it was published.
    """
    wanted = _wanted(splits)
    folder = staged(dataset, wanted=wanted, cache=cache, emit=emit)
    if folder == dataset.path:
        dataset.require_files(lambda name: wanted(name) and not is_shard(name))
    return folder


def local_folder_elsewhere(
    dataset: Artifact, *, splits: Collection[str | None], cache: Path | None = None
) -> Path:
    """The folder of `local_folder` for a worker, also on another machine: who gave it the work has
    compared the small files, which of a billion images are gigabytes."""
    return staged(dataset, wanted=_wanted(splits), cache=cache)


def copied(
    dataset: Artifact, *, splits: Collection[str | None], cache: Path | None = None
) -> Path | None:
    """The folder of `local_folder` if nothing needs to be copied there, else None."""
    return staged_before(dataset, wanted=_wanted(splits), cache=cache)


def is_shard(name: str) -> bool:
    """Whether a file of a dataset holds images: the others are small."""
    return ".array_record-" in name


def _wanted(splits: Collection[str | None]) -> Callable[[str], bool]:
    starts = tuple(f"{STEM}-{split}." for split in splits)
    return lambda name: not name.startswith(f"{STEM}-") or name.startswith(starts)
