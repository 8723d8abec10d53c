"""Files of an artifact on this machine's disk, for what can only read files.

    staged   kept: copied once, shared by later runs and by processes beside this one
    fetched  for a moment

Both compare size and sha256 with the manifest on the way, so what lies here is what was published.
"""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vitctl.artifacts import crew
from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.files import LOCK, TEMPORARY
from vitctl.artifacts.manifest import FileEntry, read_manifest
from vitctl.errors import InputError, UsageError
from vitctl.events import Emit, Note, Progress, silent
from vitctl.locks.exclusive import exclusive
from vitctl.places import Place, buckets, nofollow
from vitctl.places.copies import download
from vitctl.places.home import cache_home, expanded
from vitctl.places.local import LocalPath, based
from vitctl.places.scratch import check_room, scratch

# Large files: a few at a time fill the network.
_AT_ONCE = 4


def default_cache() -> LocalPath:
    """Where staged files are kept unless told otherwise.

    Raises UsageError if this user has no home folder.
    """
    if (base := cache_home()) is None:
        raise UsageError(
            "there is no place for copies of a dataset: this user has no home folder",
            hint="choose a folder: --cache-dir, or set HOME",
        )
    return based(base / "vitctl")


def staged(
    artifact: Artifact,
    *,
    wanted: Callable[[str], bool],
    cache: Path | None,
    emit: Emit = silent,
) -> Path:
    """A local folder with the `wanted` files of an artifact.

    That of the artifact itself if it is local and there is no `cache`; else a copy, named by the
    digest: whatever store it came from, the same bytes are copied once.

    Raises:
      DoesNotFitError: before anything is copied, if the disk has no room for what is missing.
      InputError: the artifact's files are not as they were published.
    """
    if artifact.path.local is not None and cache is None:
        return artifact.path.local
    if (earlier := staged_before(artifact, wanted=wanted, cache=cache)) is not None:
        return earlier
    folder = _folder(artifact, cache)
    files = [entry for entry in artifact.manifest.files if wanted(entry.path)]
    waiting = f"another vitctl copies {artifact.path} to {folder}; waiting for it to finish"
    with crew.growth_told(folder), exclusive(folder / LOCK, emit=emit, waiting=waiting):
        missing = _missing(folder, files)
        _clear_leftovers(folder)
        needed = sum(entry.size for entry in missing)
        check_room(
            folder,
            needed,
            of=f"a copy of {artifact.path}",
            hint="choose a larger disk: --cache-dir; copies there may be removed",
        )
        if missing:
            emit(Note(f"copying {artifact.path} to {folder}, once"))
            _copy(artifact.path, folder, missing, emit=emit)
    return folder


def staged_before(
    artifact: Artifact, *, wanted: Callable[[str], bool], cache: Path | None
) -> Path | None:
    """The copy that `staged` would make, if it is there already."""
    folder = _folder(artifact, cache)
    files = [entry for entry in artifact.manifest.files if wanted(entry.path)]
    return None if _missing(folder, files) else folder


def _folder(artifact: Artifact, cache: Path | None) -> LocalPath:
    root = default_cache() if cache is None else based(expanded(str(cache)))
    return root / f"{artifact.kind}-{artifact.digest[:16]}"


@contextmanager
def fetched(
    place: Place, prefix: str, *, wanted: Callable[[str], bool] = lambda name: True
) -> Iterator[Path]:
    """A local folder that has the `wanted` files of the artifact at `place` whose paths begin with
    `prefix`: `place` itself, or for the moment a copy.

    Raises InputError if they are not as they were published.
    """
    if place.local is not None:
        yield place.local
        return
    every = read_manifest(place).files
    files = [e for e in every if e.path.startswith(prefix) and wanted(e.path)]
    with scratch(sum(entry.size for entry in files), of=f"a copy of {place}") as folder:
        _copy(place, folder, files, emit=silent)
        yield folder


def _missing(folder: Path, files: Sequence[FileEntry]) -> list[FileEntry]:
    """Files get their name when they are whole, so the size tells enough."""

    def is_there(entry: FileEntry) -> bool:
        try:
            status = (folder / entry.path).lstat()
            return stat.S_ISREG(status.st_mode) and status.st_size == entry.size
        except OSError:
            return False

    return [entry for entry in files if not is_there(entry)]


def _clear_leftovers(folder: Path) -> None:
    """What a process left that was killed while it copied."""
    for relative, kind in nofollow.below(folder):
        if relative.rpartition("/")[2].startswith(TEMPORARY) and not kind.is_folder:
            nofollow.remove(folder / relative, missing_ok=True)


def _copy(source: Place, folder: Path, files: Sequence[FileEntry], *, emit: Emit) -> None:
    done, total = 0, sum(entry.size for entry in files)
    counting = threading.Lock()

    def one(entry: FileEntry) -> None:
        nonlocal done
        target = folder / entry.path
        nofollow.make_folder(target.parent)
        temporary = target.with_name(f"{TEMPORARY}{target.name}")
        if not _copied(source / entry.path, temporary, entry):
            nofollow.remove(temporary, missing_ok=True)
            raise InputError(
                f"{source} is damaged: {entry.path} has other bytes than were published",
                hint=f"see all: vitctl verify --deep {source}",
            )
        nofollow.sync(temporary)
        nofollow.rename(temporary, target)
        with counting:
            done += entry.size
            emit(Progress("copying", done >> 20, total >> 20, "MiB"))

    buckets.concurrently(one, files, at_once=_AT_ONCE)
    for parent in {(folder / entry.path).parent for entry in files}:
        nofollow.sync(parent)


def _copied(source: Place, target: Path, entry: FileEntry) -> bool:
    """Copy one file; whether it is the one of the manifest."""
    try:
        return download(source, target, size=entry.size, sha256=entry.sha256)
    except FileNotFoundError:
        return False
