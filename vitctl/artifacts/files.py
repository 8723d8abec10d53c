"""Files of an artifact: which of them are its content, hashed, and the one that finishes it."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable

from vitctl.artifacts.manifest import MANIFEST, FileEntry
from vitctl.errors import InterruptedRun
from vitctl.locks.names import HELD, LOCK
from vitctl.places import Place
from vitctl.places.based_path import TEMPORARY

# Bookkeeping, never part of what an artifact publishes.
RUN = "run.json"
DRAFT = "draft.json"
NOT_CONTENT = frozenset({MANIFEST, DRAFT, LOCK, HELD})


def publish_manifest(path: Place, content: bytes) -> None:
    """Write the one file that makes a directory finished.

    In a bucket an older one is never replaced: of two processes that both think they hold the
    lease, one publishes. Raises InterruptedRun for the other.
    """
    try:
        path.write_new(content)
    except FileExistsError:
        raise InterruptedRun(
            f"{path.parent} was finished by another vitctl meanwhile",
            hint="run the same command again: it finds that result",
        ) from None


def sha256_file(path: Place, *, sync: bool = False) -> tuple[int, str]:
    """(size in bytes, sha256) of a file, read in blocks; with `sync` it survives a power cut
    afterwards."""
    digest = hashlib.sha256()
    size = 0
    for block in path.blocks(sync=sync):
        digest.update(block)
        size += len(block)
    return size, digest.hexdigest()


def content_files(directory: Place) -> list[str]:
    """Relative POSIX paths of the content below `directory`, sorted; bookkeeping left out."""
    return sorted(relative for relative in directory.files_below() if _is_content(relative))


def strangers(directory: Place, *, own: Container[str]) -> list[str]:
    """Relative paths below a finished artifact that are neither its `own` nor bookkeeping: also
    what a killed writer left under a passing name."""

    def is_strange(relative: str) -> bool:
        top, name = relative.partition("/")[0], relative.rpartition("/")[2]
        waits = name.startswith(f"{TEMPORARY}{HELD}")  # for its lock, and lives
        return not (relative in own or relative in NOT_CONTENT or top == LOCK or waits)

    return sorted(filter(is_strange, directory.files_below()))


def _is_content(relative: str) -> bool:
    """The top name is enough for the lock: in a bucket it is a folder."""
    top, _, _ = relative.partition("/")
    name = relative.rpartition("/")[2]
    return not (relative in NOT_CONTENT or top == LOCK or name.startswith(TEMPORARY))


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
        known_entry = known.get(relative)
        if known_entry is None:
            # The manifest must not reach the disk before what it names.
            size, sha256 = sha256_file(directory / relative, sync=True)
            known_entry = FileEntry(path=relative, size=size, sha256=sha256)
        return known_entry.model_copy(update={"volatile": relative in unstable})

    names = sorted(filter(_is_content, directory.files_below(refuse_links=True)))
    return tuple(directory.each(entry, names, reads=True))
