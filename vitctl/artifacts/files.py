"""Files of an artifact: hashed, written so that a crash leaves the old or the new, never half."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from vitctl.artifacts.manifest import MANIFEST, FileEntry

# Bookkeeping, never part of what an artifact publishes.
RUN = "run.json"
DRAFT = "draft.json"
LOCK = ".lock"
HELD = ".lock.held"  # see heartbeat.py
TEMPORARY = ".tmp-"
NOT_CONTENT = frozenset({MANIFEST, DRAFT, LOCK, HELD})

_BLOCK = 1 << 20


def write_atomic(path: Path, content: bytes) -> None:
    """Replace `path` by `content`; after a crash the file holds the old or the new bytes whole."""
    temporary = path.with_name(f"{TEMPORARY}{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a failed write doesn't say of what
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems have no fsync for folders; their renames are durable anyway.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def sha256_file(path: Path) -> tuple[int, str]:
    """(size in bytes, sha256) of a file, read in blocks."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


def content_files(directory: Path) -> list[str]:
    """Relative POSIX paths of the content below `directory`, sorted; bookkeeping left out."""
    found = []
    for base, folders, names in os.walk(directory):
        folders.sort()
        for name in names:
            relative = (Path(base) / name).relative_to(directory).as_posix()
            if relative in NOT_CONTENT or name.startswith(TEMPORARY):
                continue
            found.append(relative)
    return sorted(found)


def entries(
    directory: Path,
    *,
    known: dict[str, FileEntry] | None = None,
    volatile: Iterable[str] = (),
) -> tuple[FileEntry, ...]:
    """A `FileEntry` for every content file; `known` ones (hashed while written) are not re-read."""
    known = known or {}
    unstable = frozenset(volatile)
    result = []
    for relative in content_files(directory):
        if relative in known:
            result.append(known[relative])
            continue
        sync(directory / relative)  # the manifest must not reach the disk before what it names
        size, sha256 = sha256_file(directory / relative)
        result.append(
            FileEntry(path=relative, size=size, sha256=sha256, volatile=relative in unstable)
        )
    return tuple(result)
