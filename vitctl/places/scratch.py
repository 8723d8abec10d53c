"""Folders on the local disk for what is on its way to or from a bucket."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vitctl.errors import DoesNotFitError, VitctlError
from vitctl.places import disk, nofollow
from vitctl.places.local import LocalPath, based

_PREFIX = "vitctl-scratch-"
_LOCK = ".lock"
_JUST_MADE_S = 60


@contextmanager
def scratch(needed_bytes: int = 0, *, of: str = "") -> Iterator[LocalPath]:
    """An empty folder below TMPDIR, removed afterwards; `of` says what needs the room.

    What killed processes left there is removed too: each folder is locked while it is used.
    Raises DoesNotFitError if there is no room for `needed_bytes`.
    """
    where = based(tempfile.gettempdir())
    _sweep(where)
    check_room(where, needed_bytes, of=of, hint="set TMPDIR to a larger disk")
    folder = where / Path(tempfile.mkdtemp(prefix=_PREFIX, dir=where)).name
    descriptor = nofollow.descriptor(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # Without flock no later command can see that this one was killed: what it left stays.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        nofollow.make_folder(folder / "files")
        yield folder / "files"
    finally:
        nofollow.remove_tree(folder, ignore_errors=True)
        os.close(descriptor)


def check_room(where: Path, needed_bytes: int, *, of: str, hint: str) -> None:
    """Raise DoesNotFitError if the disk of `where` has less than that free; `of` says what for."""
    free = disk.free_bytes(where)
    if free is not None and needed_bytes > free:
        raise DoesNotFitError(
            f"the disk of {where} has {free / 2**30:,.2f} GiB free, and "
            f"{needed_bytes / 2**30:,.2f} GiB are needed there" + (f" ({of})" if of else ""),
            hint=hint,
        )


def _sweep(where: LocalPath) -> None:
    """Remove our folders whose process is gone: their locks are free."""
    for folder in where.glob(f"{_PREFIX}*"):
        try:
            if time.time() - folder.lstat().st_mtime < _JUST_MADE_S:
                continue  # its lock may not be taken yet
            descriptor = nofollow.descriptor(folder / _LOCK, os.O_RDWR)
        except (OSError, VitctlError):
            continue  # another user's
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # it is held, or there is no flock
            continue
        else:
            nofollow.remove_tree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)
