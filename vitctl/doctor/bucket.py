"""Checks of a store in a bucket: artifacts rely on objects that are created once, and on leases."""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from vitctl.doctor import store
from vitctl.doctor.finding import CheckRequest, Finding
from vitctl.errors import OutOfReachError
from vitctl.events import silent
from vitctl.locks import leases
from vitctl.places import ObjectPath, buckets, nofollow
from vitctl.places.copies import download, upload
from vitctl.places.local import based
from vitctl.places.scratch import scratch

_MB = 10**6
# One large object, and the many small ones of a checkpoint (about a hundred arrays).
_LARGE_BYTES, _SMALL = 32 * 2**20, 32
# A checkpoint of 1 GiB within 20 s, as on a disk.
_SLOW = 50 * _MB
_AT_ONCE = 8
_SKEW_S = 2.0


def reach(request: CheckRequest) -> Finding:
    """Whether the bucket is there and these credentials may list it."""
    root = _root(request)
    began = time.perf_counter()
    folders = sum(1 for _ in root.children())
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    buckets.is_object(root / ".doctor-asks")
    answer = time.perf_counter() - began
    numbers = {"list_s": round(seconds, 3), "answer_s": round(answer, 3)}
    message = f"{root} responds in {1000 * answer:.0f} ms, and has {folders} folders"
    return Finding("reach", "ok", message, None, numbers)


def objects(request: CheckRequest) -> Finding:
    """Whether changes of a small object are visible at once; and the store's clock."""
    with _room(request) as folder:
        place = folder / "content"
        place.write_bytes(b"old")
        skew = place.stat().st_mtime_ns / 1e9 - time.time()
        place.write_bytes(b"newer")
        state = (place.read_bytes(), place.stat().st_size, [c.name for c in folder.iterdir()])
        place.unlink()
        gone = not place.is_file() and not folder.is_dir()
    numbers = {"skew_s": round(skew, 2)}
    if state != (b"newer", 5, ["content"]) or not gone:
        message = "a written or removed object is not visible at once"
        hint = "choose a store with strong consistency, and without a cache in front"
        return Finding("objects", "fail", message, hint, numbers)
    if abs(skew) > _SKEW_S:
        message = f"changes are visible at once, but the store's clock is {skew:+.0f} s off"
        return Finding("objects", "warn", message, "set this machine's clock by NTP", numbers)
    message = "are written, listed, replaced and removed, and each change is visible at once"
    return Finding("objects", "ok", message, None, numbers)


def lease(request: CheckRequest) -> Finding:
    """Whether of several that create one object one does, and a lease keeps others out."""
    with _room(request) as folder:

        def create(number: int) -> bool:
            try:
                buckets.put(folder / "once", b"%d" % number, new=True)
            except FileExistsError:
                return False
            return True

        with ThreadPoolExecutor(_AT_ONCE) as threads:
            made = sum(threads.map(create, range(_AT_ONCE)))
        with leases.lease(folder / ".lock", emit=silent, waiting=""):
            held = leases.is_held(folder / ".lock")
        free = not leases.is_held(folder / ".lock")
    numbers = {"created": made, "of": _AT_ONCE}
    if not (held and free):
        message = "a lease that is held is not visible to others"
        return Finding("lease", "fail", message, "choose a store with strong consistency", numbers)
    if made != 1:
        message = f"{made} of {_AT_ONCE} attempts created the same object, instead of one"
        hint = "never run the same command twice at a time, or use AWS S3, Google's store or MinIO"
        return Finding("lease", "warn", message, hint, numbers)
    return Finding(
        "lease", "ok", "an object can be created only once, so leases hold", None, numbers
    )


def speed(request: CheckRequest) -> Finding:
    """How fast a large file goes there and back, verified, and small objects."""
    with _room(request) as folder, scratch(2 * _LARGE_BYTES) as here:
        with nofollow.opened(here / "large", "wb") as file:
            file.write(os.urandom(_LARGE_BYTES))
        began = time.perf_counter()
        sent = upload(here / "large", folder / "large")
        written = _LARGE_BYTES / (time.perf_counter() - began)
        began = time.perf_counter()
        whole = download(folder / "large", here / "again", size=sent.size, sha256=sent.sha256)
        read = _LARGE_BYTES / (time.perf_counter() - began)
        began = time.perf_counter()
        small = [folder / f"small-{number}" for number in range(_SMALL)]
        buckets.concurrently(lambda place: buckets.write(place, b"small"), small)
        rate = _SMALL / (time.perf_counter() - began)
    numbers = {
        "write_bytes_per_s": round(written),
        "read_bytes_per_s": round(read),
        "objects_per_s": round(rate, 1),
    }
    if not whole:
        message = "a file that was sent comes back changed"
        return Finding(
            "speed", "fail", message, "report it to the operator of the store", numbers, exit_code=3
        )
    message = (
        f"writes {written / _MB:,.0f} MB/s, reads {read / _MB:,.0f} MB/s, "
        f"{rate:,.0f} small objects/s"
    )
    if min(written, read) < _SLOW:
        hint = "use a bucket in the region of this machine; save less often: --checkpoint-every"
        return Finding("speed", "warn", message, hint, numbers)
    return Finding("speed", "ok", message, None, numbers)


def disk(request: CheckRequest) -> Finding:
    """The disk that checkpoints and shards pass through."""
    where = Path(tempfile.gettempdir())
    finding = store.disk(CheckRequest(based(where)))
    hint = None if finding.hint is None else "set TMPDIR to a larger or faster disk"
    return replace(finding, message=f"{finding.message} ({where})", hint=hint)


def _root(request: CheckRequest) -> ObjectPath:
    assert request.store.remote is not None
    return request.store.remote


@contextmanager
def _room(request: CheckRequest) -> Iterator[ObjectPath]:
    """A temporary folder in the store, removed afterwards."""
    folder = _root(request) / f".doctor-{uuid.uuid4().hex}"
    try:
        yield folder
    finally:
        with suppress(OutOfReachError):
            folder.remove_tree()
