"""One process works on a recipe at a time.

flock is released by the kernel when its holder dies, however it dies, so such a lock never goes
stale. File systems without flock (some network mounts) get a lock of another kind, heartbeat.py;
those that other machines see get both, as their flock may be one of this machine's kernel only, and
does not say so. In a bucket, where there are no locks at all, a lease stands in
(`vitctl.locks.leases`).
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from vitctl.errors import VitctlError
from vitctl.events import Emit, Note
from vitctl.locks import heartbeat, leases, mounts
from vitctl.locks.timing import SYSTEM, Clock
from vitctl.places import Place, nofollow
from vitctl.places.local import LocalPath

_POLL_S = 0.2
# What flock says where there is none: NFS without a lock server, FUSE, some cluster file systems.
_UNSUPPORTED = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


@contextmanager
def exclusive(
    path: Place, *, emit: Emit, waiting: str, several: bool = False, clock: Clock = SYSTEM
) -> Iterator[None]:
    """Hold the lock file `path`; if another process has it, say `waiting` once and wait.
    `several`: processes beside this one write under it, too."""
    if path.remote is not None:
        with leases.lease(path.remote, emit=emit, waiting=waiting, several=several, clock=clock):
            yield
        return
    file = path.local
    descriptor = _acquire(file, emit=emit, waiting=waiting, clock=clock)
    with ExitStack() as stack:
        if descriptor is not None:
            stack.callback(os.close, descriptor)
            # Safe to remove: a waiter that opened this very file sees below that it is gone.
            stack.callback(_remove, file)
        if descriptor is None or mounts.shared(file.parent) is not None:
            held = heartbeat.beside(file)
            beating = heartbeat.exclusive(held, emit=emit, waiting=waiting, clock=clock)
            stack.enter_context(beating)
        if descriptor is None:
            stack.callback(_remove, file)  # it means nothing here
        yield


def _acquire(path: LocalPath, *, emit: Emit, waiting: str, clock: Clock) -> int | None:
    """The descriptor that holds the lock; None where this file system has no flock."""
    announced = False
    while True:
        descriptor = nofollow.first_in_folder(
            path.parent.make_folder,
            lambda: nofollow.descriptor(path, os.O_RDWR | os.O_CREAT, 0o644),
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            if not announced:
                emit(Note(waiting))
                announced = True
            clock.sleep(_POLL_S)
            continue
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, OSError) and error.errno in _UNSUPPORTED:
                return None
            raise
        if _is_still(path, descriptor):
            return descriptor
        os.close(descriptor)  # the previous holder removed the file between our open and flock


def remove_stale(path: Place) -> None:
    """Remove the lock file that a killed process left where no other takes the lock any more:
    beside finished work. One that is held stays, and so does one that may not be removed."""
    if path.remote is not None or not heartbeat.remove_stale(heartbeat.beside(path.local)):
        return
    file = path.local
    try:
        descriptor = nofollow.descriptor(file, os.O_RDWR)
    except (OSError, VitctlError):
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_still(file, descriptor):
            _remove(file)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            _remove(file)
    finally:
        os.close(descriptor)


def _remove(file: LocalPath) -> None:
    with suppress(OSError, VitctlError):
        file.remove(missing_ok=True)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        at_path = os.lstat(path)
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (at_path.st_dev, at_path.st_ino) == (here.st_dev, here.st_ino)


def is_locked(path: Place) -> bool:
    """Whether a living process seems to hold the lock file `path` now; only good for telling."""
    if path.remote is not None:
        return leases.is_held(path.remote)
    file = path.local
    if heartbeat.is_held(heartbeat.beside(file)):
        return True
    try:
        descriptor = nofollow.descriptor(file, os.O_RDONLY)
    except (OSError, VitctlError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)
    return False
