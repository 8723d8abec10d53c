"""A lock that needs no flock: a file with its holder's name and a count that moves.

It is made with O_EXCL, which is atomic on NFS, too. Its holder raises the count every few seconds.
Who waits takes it over when the count has stood still for `STALE_S` as the waiter counts its own
looks: no two clocks are compared, and one that jumps changes nothing. A holder that died on this
very machine is seen at once.

A holder that stood still (suspended, or cut off) and lost it ends as soon as it sees that, and
looks before it publishes, replaces or removes anything.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from vitctl.errors import InterruptedRun, VitctlError
from vitctl.events import Emit, Note
from vitctl.locks.holder import Holder
from vitctl.locks.names import HELD
from vitctl.locks.timing import SYSTEM, Clock
from vitctl.places import guards, nofollow
from vitctl.places.based_path import TEMPORARY
from vitctl.text import strict_json

BEAT_S = 3.0
# Ten beats: a file server may be away that long and come back.
STALE_S = 30.0
_POLL_S = 0.2
_LOOKS = 5


@dataclass(frozen=True)
class Beat:
    """What the file says. `where` is the holder as text: "HOST BOOT PIDS since TICKS", the last two
    words only in younger files."""

    owner: str
    host: str
    where: str
    pid: int
    beat: int = 0


def beside(lock: Path) -> Path:
    """The file that stands for the lock file `lock`."""
    return lock.with_name(HELD)


@contextmanager
def exclusive(path: Path, *, emit: Emit, waiting: str, clock: Clock = SYSTEM) -> Iterator[None]:
    """Hold `path`; if another process has it, say `waiting` once and wait."""
    process = Holder.this()
    own = Beat(uuid.uuid4().hex, process.host, _where(process), process.pid)
    _acquire(path, own, emit=emit, waiting=waiting, clock=clock)
    beats = clock.repeat(_Beats(path, own).beat, after_s=BEAT_S, name="heartbeat")
    try:
        with guards.guarded(path.parent, partial(_check, path, own, clock=clock)):
            yield
    finally:
        beats.end()
        beat = read(path)
        if beat is not None and beat.owner == own.owner:
            nofollow.remove(path, missing_ok=True)


def remove_stale(path: Path) -> bool:
    """Remove the file of a holder that died; whether there is none afterwards. One on another
    machine counts as dead as for `is_held`, but by the file server's clock alone."""
    beat = read(path)
    if beat is None:
        return True
    with suppress(OSError, VitctlError):
        if _is_dead(beat) or _age_s(path) >= 2 * STALE_S:
            _remove_stale(path, beat)
            return read(path) is None
    return False


def is_held(path: Path) -> bool:
    """Whether a process seems to hold the file now: one on another machine by the time of its last
    beat, by the file server's clock and ours, so only good for telling."""
    beat = read(path)
    if beat is None or _is_dead(beat):
        return False
    try:
        beaten = path.stat().st_mtime
    except OSError:
        return False
    return time.time() - beaten < 2 * STALE_S


def read(path: Path) -> Beat | None:
    """Who holds the file; None if nobody does. A file being written counts as held by nobody
    known."""
    try:
        return Beat(**strict_json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        return Beat("?", "?", "?", 0)


def _acquire(path: Path, own: Beat, *, emit: Emit, waiting: str, clock: Clock) -> None:
    announced = False
    previous, looks = None, 0
    while True:
        nofollow.check(path)
        make = partial(nofollow.make_folder, path.parent)
        if nofollow.first_in_folder(make, partial(_create, path, own)):
            return
        beat = read(path)
        if beat is None:
            continue
        looks = looks + 1 if beat == previous else 0
        previous = beat
        if _is_dead(beat) or looks * _POLL_S >= STALE_S:
            _remove_stale(path, beat)
            continue
        if not announced:
            emit(Note(waiting))
            announced = True
        clock.sleep(_POLL_S)


def _create(path: Path, own: Beat) -> bool:
    """Whether the file was made, whole: it is written aside and linked to its name, which fails
    where it is taken."""
    aside = path.with_name(f"{TEMPORARY}{path.name}.{own.owner}")
    with nofollow.opened(aside, "xb") as file:
        file.write(_content(own))
    try:
        nofollow.link(aside, path)
    except FileExistsError:
        return False
    except OSError:  # no hard links either
        try:
            with nofollow.opened(path, "xb") as file:
                file.write(_content(own))
        except FileExistsError:
            return False
    finally:
        nofollow.remove(aside, missing_ok=True)
    return True


def _age_s(path: Path) -> float:
    """How long ago the file was written, by the clock of the machine that keeps it."""
    aside = path.with_name(f"{TEMPORARY}{path.name}.{uuid.uuid4().hex}")
    try:
        with nofollow.opened(aside, "xb") as file:
            now_s = os.fstat(file.fileno()).st_mtime
        return now_s - os.lstat(path).st_mtime
    finally:
        nofollow.remove(aside, missing_ok=True)


def _remove_stale(path: Path, stale: Beat) -> None:
    """Remove the file if it is still the one that was found stale. Moved aside first: of several
    waiters one gets it, and one that got a new holder's by mistake puts it back."""
    aside = path.with_name(f"{TEMPORARY}{path.name}.{uuid.uuid4().hex}")
    if read(path) != stale:
        return
    try:
        nofollow.rename(path, aside)
    except FileNotFoundError:
        return
    if read(aside) != stale:
        with suppress(OSError):
            nofollow.link(aside, path)
    nofollow.remove(aside, missing_ok=True)


def _check(path: Path, own: Beat, *, clock: Clock) -> None:
    """Raise InterruptedRun if another process holds the file. The thread that beats sees that, too,
    but seconds after a process that stood still goes on."""
    for _ in range(_LOOKS):
        beat = read(path)
        if beat is not None and beat.owner == own.owner:
            return
        if beat is not None and beat.owner != "?":
            break
        clock.sleep(_POLL_S)  # a waiter that took it by mistake puts it back at once
    if beat is None or beat.owner != "?":
        raise _taken_over(path)


def _taken_over(path: Path) -> InterruptedRun:
    return InterruptedRun(
        f"another vitctl took over {path.parent}: this process stood still for more than "
        f"{STALE_S:g} s",
        hint="run the same command again: it goes on, or waits for the other to finish",
    )


class _Beats:
    def __init__(self, path: Path, own: Beat) -> None:
        self._path, self._own = path, own
        self._count = self._missed = 0

    def beat(self) -> float:
        """Raise the count; end the process if another holds the file. When to beat next."""
        self._count += 1
        current = read(self._path)
        gone = current is None or current.owner not in (self._own.owner, "?")
        # Twice: a waiter that took it by mistake puts it back at once.
        self._missed = self._missed + 1 if gone else 0
        if self._missed > 1:
            # What the main thread waits for (a device, a file server) may take long, and it writes
            # to more than the guards know of.
            error = _taken_over(self._path)
            print(f"stopped: {error.message}\nhint: {error.hint}", file=sys.stderr, flush=True)
            os._exit(error.exit_code)
        if gone:
            return _POLL_S
        with suppress(OSError), nofollow.opened(self._path, "r+b") as file:
            file.write(_content(replace(self._own, beat=self._count)))
        return BEAT_S


def _content(beat: Beat) -> bytes:
    # The same length at any count, so that a reader never sees the end of an older text.
    return json.dumps(asdict(beat)).encode().ljust(512) + b"\n"


def _is_dead(beat: Beat) -> bool:
    """Whether the holder is known to have died: a process of this very machine that is gone."""
    _, *world = beat.where.split(" ")
    since = world[3] if world[2:3] == ["since"] and len(world) == 4 else None
    return Holder(beat.host, " ".join(world[:2]) or None, beat.pid, since).is_gone


def _where(holder: Holder) -> str:
    since = [] if holder.since is None else ["since", holder.since]
    return " ".join([holder.host, *filter(None, [holder.world]), *since])
