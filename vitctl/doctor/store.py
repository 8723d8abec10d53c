"""Checks of the store's file system: artifacts rely on rename, flock and free space."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vitctl.artifacts.files import HELD
from vitctl.doctor.finding import CheckRequest, Finding
from vitctl.locks import mounts
from vitctl.places import nofollow
from vitctl.places.local import LocalPath, based

_GIB, _MB = 2**30, 10**6
# A checkpoint of S/16 with its optimizer takes 0.2 GiB, one of g/14 6 GiB.
_LEAST_FREE, _GOOD_FREE = 1 * _GIB, 20 * _GIB
_PROBE_BYTES = 64 * 2**20
# An image of 100 kB at 500 a second; a checkpoint of 1 GiB within 20 s.
_SLOW = 50 * _MB
_SKEW_S = 2.0
_LEAST_NAMES = 10_000


def disk(request: CheckRequest) -> Finding:
    """Room, and how fast a small file is written and read."""
    with _room(request) as folder:
        usage = shutil.disk_usage(folder)
        names = os.statvfs(folder).f_favail
        numbers = {"free_bytes": usage.free, "free_names": names}
        message = f"{usage.free / _GIB:.1f} GiB free of {usage.total / _GIB:.1f}"
        if not usage.total:
            message = "its file system doesn't say how much is free"
        hint = f"free some disk space, or choose another --store than {request.store}"
        if usage.total and usage.free < _LEAST_FREE:
            return Finding("disk", "fail", message, hint, numbers, exit_code=6)
        written, read = _speeds(folder / "probe")
    numbers |= {"write_bytes_per_s": round(written), "read_bytes_per_s": round(read)}
    message += f", writes {written / _MB:,.0f} MB/s, reads {read / _MB:,.0f} MB/s"
    if 0 < names < _LEAST_NAMES:
        message += f", {names:,} names left"
        return Finding(
            "disk",
            "warn",
            message,
            "remove small files: the disk is running out of inodes",
            numbers,
        )
    if usage.free < _GOOD_FREE:
        return Finding("disk", "warn", message, hint, numbers)
    if min(written, read) < _SLOW:
        hint = "put the store, or at least the datasets, on a faster local disk"
        return Finding("disk", "warn", message, hint, numbers)
    return Finding("disk", "ok", message, None, numbers)


def rename(request: CheckRequest) -> Finding:
    """Whether a file can be replaced in one go, and the file server's clock is ours."""
    with _room(request) as folder:
        place = folder / "content"
        place.write_atomic(b"old")
        with place.open("rb") as before:
            place.write_atomic(b"new")
            before_bytes, now = before.read(), place.read_bytes()
        left = [path.name for path in folder.iterdir() if path != place]
        skew = place.stat().st_mtime - time.time()
    numbers = {"skew_s": round(skew, 2)}
    if (before_bytes, now) != (b"old", b"new") or left:
        message = "a file that is replaced does not stay complete for its readers"
        hint = "keep the store on a POSIX file system (ext4, xfs, NFS, Lustre)"
        return Finding("rename", "fail", message, hint, numbers)
    if abs(skew) > _SKEW_S:
        message = f"works, but the file server's clock is {skew:+.0f} s off this machine's"
        return Finding(
            "rename",
            "warn",
            message,
            "set both clocks by NTP: the order of artifacts depends on them",
            numbers,
        )
    return Finding("rename", "ok", "replaces a file in one go", None, numbers)


def lock(request: CheckRequest) -> Finding:
    """Whether flock keeps a second process out."""
    with _room(request) as folder:
        place = folder / ".lock"
        first = nofollow.descriptor(place, os.O_RDWR | os.O_CREAT)
        second = nofollow.descriptor(place, os.O_RDWR)
        try:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return Finding("lock", "ok", _kept_out(mounts.shared(folder)))
        except OSError as error:
            message = f"flock is not supported ({error.strerror})"
            return Finding("lock", "warn", message, _ALONE)
        finally:
            os.close(first)
            os.close(second)
    return Finding("lock", "warn", "flock lets two processes hold one lock", _ALONE)


def _kept_out(shared: str | None) -> str:
    message = "flock keeps a second process out"
    if shared is None:
        return message
    return f"{message} on this machine, and {HELD} those on others ({shared})"


_ALONE = (
    "run one command at a time on a recipe, or mount the store with locks (NFS: local_lock=none)"
)


@contextmanager
def _room(request: CheckRequest) -> Iterator[LocalPath]:
    """A temporary folder on the store's file system, removed afterwards."""
    place = request.store.absolute()
    assert place.local is not None
    while not place.is_dir():
        place = place.parent
    folder = based(tempfile.mkdtemp(prefix=".doctor-", dir=place.local))
    try:
        yield folder
    finally:
        nofollow.remove_tree(folder, ignore_errors=True)


def _speeds(path: Path) -> tuple[float, float]:
    """Bytes a second, written to the disk and read back from it."""
    block = os.urandom(2**20)
    began = time.perf_counter()
    with nofollow.opened(path, "wb") as file:
        for _ in range(_PROBE_BYTES // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        written = time.perf_counter()
        if hasattr(os, "posix_fadvise"):  # or memory would answer instead of the disk
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    opened = time.perf_counter()
    with path.open("rb") as file:
        while file.read(len(block)):
            pass
    read = time.perf_counter()
    return _PROBE_BYTES / (written - began), _PROBE_BYTES / max(read - opened, 1e-9)
