"""One process works on a recipe at a time.

flock is released by the kernel when its holder dies, however it dies, so a lock never goes stale.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vitctl.events import Emit, Note

_POLL_S = 0.2


@contextmanager
def exclusive(path: Path, *, emit: Emit, waiting: str) -> Iterator[None]:
    """Hold the lock file `path`; if another process has it, say `waiting` once and wait."""
    descriptor = _acquire(path, emit=emit, waiting=waiting)
    try:
        yield
    finally:
        # Safe to remove: a waiter that opened this very file sees below that it is gone.
        with suppress(OSError):
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path, *, emit: Emit, waiting: str) -> int:
    announced = False
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            if not announced:
                emit(Note(waiting))
                announced = True
            time.sleep(_POLL_S)
            continue
        except BaseException:
            os.close(descriptor)
            raise
        if _is_still(path, descriptor):
            return descriptor
        os.close(descriptor)  # the previous holder removed the file between our open and flock


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock file `path` now."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
