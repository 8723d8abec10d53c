"""The requests to object stores, all of them through `ask`: tried again, and explained.

What is not there is a FileNotFoundError, what must not be replaced a FileExistsError; all else that
can go wrong with a store is an `OutOfReachError` (see `explain`).
"""

from __future__ import annotations

import errno
import importlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, Literal, NamedTuple, TypeVar

from vitctl import extras
from vitctl.errors import OutOfReachError
from vitctl.places import guards
from vitctl.places.address import Address
from vitctl.places.explain import Trouble, explained

T = TypeVar("T")
R = TypeVar("R")

# s3fs and gcsfs try again for some seconds by themselves. A store that has answered before gets
# this much longer: a week of training should not end with a minute's outage. One that never
# answered is more likely misspelt.
PAUSES_S: tuple[float, ...] = (1, 2, 4, 8, 16, 30, 60)
BLOCK = 16 << 20
"""Bytes of an object that are asked for at a time."""
AT_ONCE = 16
"""Small requests under way together: each waits some tens of milliseconds for its answer."""

_TIMEOUT_S = 120

_reachable: set[str] = set()


class Listed(NamedTuple):
    """What a store says of an object. `etag` and `md5` (base64) are None where it doesn't."""

    size: int
    modified_ns: int
    etag: str | None
    md5: str | None


def ask(path: Address, request: Callable[[Any], T], *, guarded: bool | None = None) -> T:
    """`request` of the fsspec file system of `path`. One that changes something says whether it is
    `guarded`: then the guards are asked before each try."""
    fs = filesystem(path.scheme, os.getpid())
    bucket = f"{path.scheme}://{path.bucket}"
    pauses = iter(PAUSES_S if bucket in _reachable else ())
    while True:
        if guarded:
            guards.check(path)
        try:
            answer = request(fs)
        except FileExistsError:
            raise
        except FileNotFoundError:
            # What was to be changed is missing: perhaps the whole bucket is.
            if bucket not in _reachable or guarded is not None:
                _check_bucket(path)
                _reachable.add(bucket)
            raise no_such_object(path) from None
        except Exception as error:
            trouble: Trouble | None = explained(error, path)
            if trouble is None:
                raise
            pause = next(pauses, None) if trouble.passing else None
            if pause is None:
                raise trouble.error from error
            time.sleep(pause)
        else:
            _reachable.add(bucket)
            return answer


def no_such_object(path: Address) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


@cache
def filesystem(scheme: str, process: int) -> Any:
    """The fsspec file system, one a process (its connections don't survive a fork). It keeps no
    listings: others write to the same store.

    Raises OutOfReachError where its package is not installed.
    """
    del process
    if scheme == "memory":
        import fsspec

        return fsspec.filesystem("memory")
    package, name, settings = {
        "s3": ("s3fs", "S3FileSystem", {}),
        "gs": ("gcsfs.core", "GCSFileSystem", _gcs_settings()),
    }[scheme]
    try:
        module = importlib.import_module(package)
    except ImportError as error:
        raise OutOfReachError(
            f"{scheme}:// needs a package that is not here ({error})",
            exit_code=2,
            hint=f"install it: {extras.install('cloud')}",
        ) from None
    for noisy in ("s3fs", "gcsfs", "fsspec", "asyncio"):
        # They report each failed request in pages; `explained` does it in a sentence.
        logging.getLogger(noisy).setLevel(logging.CRITICAL + 1)
    made = getattr(module, name)
    return made(use_listings_cache=False, skip_instance_cache=True, **settings)


def _gcs_settings() -> dict[str, Any]:
    """The default timeout is five minutes for each of seven tries. An emulator takes no
    credentials, and looking for some takes seconds."""
    emulated = {"token": "anon"} if os.environ.get("STORAGE_EMULATOR_HOST") else {}
    return {"requests_timeout": _TIMEOUT_S, **emulated}


def _check_bucket(path: Address) -> None:
    """Raise OutOfReachError if there is no such bucket: a store answers that like a missing
    object."""
    fs = filesystem(path.scheme, os.getpid())
    try:
        if path.scheme == "s3":
            fs.call_s3("head_bucket", Bucket=path.bucket)
        elif path.scheme == "gs":
            fs.call("GET", "b/{}/o", path.bucket, maxResults=1, json_out=True)
    except FileNotFoundError:
        raise OutOfReachError(
            f"there is no bucket {path.scheme}://{path.bucket}",
            exit_code=4,
            hint="see its name and project; vitctl makes no buckets",
        ) from None
    except Exception as error:
        if (trouble := explained(error, path)) is not None:
            raise trouble.error from error
        raise


# Looking


def look_up(path: Address) -> Listed:
    """Raises FileNotFoundError where there is no such object."""
    entry = ask(path, lambda fs: fs.info(path.key))
    if entry["type"] != "file":
        raise no_such_object(path)
    return _listed(entry)


def is_object(path: Address) -> bool:
    try:
        look_up(path)
    except FileNotFoundError:
        return False
    return True


def has_objects(path: Address) -> bool:
    return next(children(path), None) is not None


def children(path: Address) -> Iterator[tuple[str, Literal["file", "directory"]]]:
    """(name, kind) of what is directly below, sorted."""
    try:
        entries = ask(path, lambda fs: fs.ls(path.key, detail=True))
    except FileNotFoundError:
        return
    kinds = {}
    for entry in entries:
        key = entry["name"].strip("/")
        if key.startswith(f"{path.key}/"):  # not the object of this very name
            kinds[key.rpartition("/")[2]] = entry["type"]
    yield from sorted(kinds.items())


def below(path: Address) -> dict[str, Listed]:
    """Every object below `path`: relative name -> what the store says of it, sorted."""
    try:
        entries = ask(path, lambda fs: fs.find(path.key, detail=True))
    except FileNotFoundError:
        return {}
    prefix = f"{path.key}/"
    listed = {
        entry["name"].strip("/").removeprefix(prefix): _listed(entry)
        for entry in entries.values()
        if entry["type"] == "file" and entry["name"].strip("/").startswith(prefix)
    }
    return dict(sorted(listed.items()))


# Reading


def read(path: Address) -> bytes:
    """A whole object; for small ones."""
    return ask(path, lambda fs: fs.cat_file(path.key))


def blocks(path: Address) -> Iterator[bytes]:
    """A whole object in blocks, so that a cut connection costs one of them."""
    size = look_up(path).size
    for start in range(0, size, BLOCK):
        end = min(start + BLOCK, size)
        yield read_part(path, start, end)


def read_part(path: Address, begin: int, end: int) -> bytes:
    """Bytes `begin` to `end` of an object."""
    return ask(path, partial(_cat, path, begin, end))


def _cat(path: Address, start: int, end: int, fs: Any) -> bytes:
    return fs.cat_file(path.key, start=start, end=end)


# Changing


def write(path: Address, content: bytes, *, new: bool = False) -> None:
    """Put a whole object; readers see the old or the new one. With `new`, FileExistsError where
    there is one already (a store without that condition replaces it)."""
    put(path, content, new=new, guarded=True)


def put(path: Address, content: bytes, *, new: bool = False, guarded: bool = False) -> None:
    """`write`, without asking the guards unless `guarded`."""
    mode = "create" if new else "overwrite"
    try:
        ask(path, lambda fs: fs.pipe_file(path.key, content, mode=mode), guarded=guarded)
    except FileExistsError:
        # Perhaps our own: a request whose answer was lost is sent again.
        if read(path) != content:
            raise


def remove(paths: Iterable[Address], *, guarded: bool = True) -> None:
    """Remove objects; what is gone already is well."""

    def one(path: Address) -> None:
        with suppress(FileNotFoundError):
            ask(path, lambda fs: fs.rm_file(path.key), guarded=guarded)

    concurrently(one, paths)


def concurrently(
    function: Callable[[T], R], items: Iterable[T], *, at_once: int = AT_ONCE
) -> list[R]:
    """`function` of each item, several at a time, in their order; raises the first error."""
    todo = list(items)
    if len(todo) < 2 or at_once == 1:
        return [function(item) for item in todo]
    with ThreadPoolExecutor(min(at_once, len(todo)), thread_name_prefix="bucket") as threads:
        return list(threads.map(function, todo))


def _listed(entry: dict[str, Any]) -> Listed:
    etag = entry.get("ETag")
    return Listed(
        size=int(entry["size"]),
        modified_ns=_nanoseconds(entry),
        etag=etag.strip('"') if etag else None,
        md5=entry.get("md5Hash"),
    )


def _nanoseconds(entry: dict[str, Any]) -> int:
    """Each file system has its own name and type for the time of the last change."""
    for name in ("LastModified", "updated", "mtime", "created"):
        when = entry.get(name)
        if isinstance(when, str):
            when = datetime.fromisoformat(when)
        if isinstance(when, datetime):
            aware = when if when.tzinfo else when.replace(tzinfo=UTC)
            return int(aware.timestamp() * 1e9)
    return 0
