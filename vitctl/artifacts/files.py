"""Files of an artifact: hashed, written so that a crash leaves the old or the new, never half.

In a bucket that is what writing is: an object is replaced as a whole.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from vitctl.artifacts.manifest import MANIFEST, FileEntry
from vitctl.errors import InterruptedRun
from vitctl.locks.names import HELD, LOCK
from vitctl.places import ObjectPath, Place, buckets, guards, nofollow
from vitctl.places.background_writes import write_now
from vitctl.places.local import TEMPORARY

# Bookkeeping, never part of what an artifact publishes.
RUN = "run.json"
DRAFT = "draft.json"
NOT_CONTENT = frozenset({MANIFEST, DRAFT, LOCK, HELD})

_BLOCK = 1 << 20
# A checkpoint is hundreds of small files, and a disk takes as long for eight at a time as for one.
AT_ONCE = 8


def write_atomic(path: Place, content: bytes) -> None:
    """Replace `path` by `content`; after a crash the file holds the old or the new bytes whole."""
    if isinstance(path, ObjectPath):
        write_now(path, content)
        return
    temporary = path.with_name(f"{TEMPORARY}{path.name}.{os.getpid()}")
    try:
        with nofollow.opened(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        guards.check(path)
        nofollow.rename(temporary, path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a failed write doesn't say of what
        with suppress(nofollow.LinkError):  # it is on its way already
            nofollow.remove(temporary, missing_ok=True)
        raise
    nofollow.sync(path.parent)


def becomes(name: str) -> str | None:
    """What the file is to become that `write_atomic` calls `name`; None if it does not."""
    start, _, pid = name.rpartition(".")
    return (
        start.removeprefix(TEMPORARY) if start.startswith(TEMPORARY) and pid.isdecimal() else None
    )


def publish_manifest(path: Place, content: bytes) -> None:
    """Write the one file that makes a directory finished.

    In a bucket an older one is never replaced: of two processes that both think they hold the
    lease, one publishes. Raises InterruptedRun for the other.
    """
    if not isinstance(path, ObjectPath):
        write_atomic(path, content)
        return
    try:
        buckets.write(path, content, new=True)
    except FileExistsError:
        raise InterruptedRun(
            f"{path.parent} was finished by another vitctl meanwhile",
            hint="run the same command again: it finds that result",
        ) from None


def sha256_file(path: Place, *, sync: bool = False) -> tuple[int, str]:
    """(size in bytes, sha256) of a file, read in blocks; with `sync`, of one on this machine, it
    survives a power cut afterwards."""
    digest = hashlib.sha256()
    size = 0
    for block in _blocks(path, sync=sync):
        digest.update(block)
        size += len(block)
    return size, digest.hexdigest()


def _blocks(path: Place, *, sync: bool) -> Iterator[bytes]:
    if isinstance(path, ObjectPath):
        yield from buckets.blocks(path)
        return
    with nofollow.opened(path, "rb", buffering=0) as file:
        if sync:
            nofollow.sync_opened(file.fileno())
        while block := file.read(_BLOCK):
            yield block


def content_files(directory: Place) -> list[str]:
    """Relative POSIX paths of the content below `directory`, sorted; bookkeeping left out."""
    return sorted(relative for relative in _files(directory) if _is_content(relative))


def strangers(directory: Place, *, own: Container[str]) -> list[str]:
    """Relative paths below a finished artifact that are neither its `own` nor bookkeeping: also
    what a killed writer left under a passing name."""

    def is_strange(relative: str) -> bool:
        top, name = relative.partition("/")[0], relative.rpartition("/")[2]
        waits = name.startswith(f"{TEMPORARY}{HELD}")  # for its lock, and lives
        return not (relative in own or relative in NOT_CONTENT or top == LOCK or waits)

    return sorted(filter(is_strange, _files(directory)))


def _files(directory: Place) -> Iterator[str]:
    if isinstance(directory, ObjectPath):
        yield from buckets.below(directory)
        return
    for relative, _ in nofollow.below(directory):
        yield relative


def _is_content(relative: str) -> bool:
    """The top name is enough for the lock: in a bucket it is a folder."""
    top, _, _ = relative.partition("/")
    name = relative.rpartition("/")[2]
    return not (relative in NOT_CONTENT or top == LOCK or name.startswith(TEMPORARY))


def remove_tree(directory: Place, *, ignore_errors: bool = False) -> None:
    """Remove a folder with all that is in it."""
    if isinstance(directory, ObjectPath):
        buckets.remove(directory / name for name in buckets.below(directory))
        return
    guards.check(directory)
    nofollow.remove_tree(directory, ignore_errors=ignore_errors)


def remove(path: Place, *, missing_ok: bool = False) -> None:
    """Remove a file; of a link only the link itself."""
    if isinstance(path, ObjectPath):
        path.unlink(missing_ok=missing_ok)
    else:
        nofollow.remove(path, missing_ok=missing_ok)


def make_folder(path: Place) -> None:
    """The folder, and those above it, made where they are not there. A bucket has none."""
    if isinstance(path, Path):
        nofollow.make_folder(path)


def entries(
    directory: Place,
    *,
    known: dict[str, FileEntry] | None = None,
    volatile: Iterable[str] = (),
) -> tuple[FileEntry, ...]:
    """A `FileEntry` for every content file; `known` ones (hashed while written) are not re-read."""
    known = known or {}
    unstable = frozenset(volatile)

    def entry(relative: str) -> FileEntry:
        found = known.get(relative)
        if found is None:
            # The manifest must not reach the disk before what it names.
            size, sha256 = sha256_file(directory / relative, sync=True)
            found = FileEntry(path=relative, size=size, sha256=sha256)
        return found.model_copy(update={"volatile": relative in unstable})

    if isinstance(directory, ObjectPath):
        return tuple(buckets.together(entry, content_files(directory)))
    names = []
    for relative, kind in nofollow.below(directory):
        if kind.is_link:
            raise nofollow.LinkError(directory / relative)
        names.append(relative)
    content = sorted(filter(_is_content, names))
    return tuple(buckets.together(entry, content, at_once=AT_ONCE))
