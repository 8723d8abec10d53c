"""One process works below a path of a bucket at a time, whatever machines they are on.

There is no lock that ends with its holder. So a holder proves that it lives: its lease is an
object `<path>/<number>` that it writes again and again with a growing count. Who waits watches the
count, by its own clock (clocks of two machines needn't agree); one that stands still for
`PATIENCE_S` is over, and the next number may be created, which the store grants to one only. The
holder looks for higher numbers at each beat, and whether its own is still its own, and stops
changing anything once another has taken over, or once it could not write for so long that another
may have.

A released lease stays as a mark, so that numbers only grow: a slow process can never take a new
lease for the old one it was watching.

Several processes that work together hold one lease: the first writes it, the others follow it, and
stop changing anything when they see that it is lost, or have not seen it move for so long that it
may be.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any, NamedTuple

from vitctl.errors import InterruptedRun, OutOfReachError
from vitctl.events import Emit, Note
from vitctl.locks.holder import Holder
from vitctl.locks.timing import SYSTEM, Clock, Repeating
from vitctl.places import buckets, guards
from vitctl.places.objects import ObjectPath
from vitctl.text import strict_json

BEAT_S = 10.0
PATIENCE_S = 60.0
_POLL_S = 1.0
_DIGITS = 8


class _Newest(NamedTuple):
    """The highest lease of a path; number 0 is none."""

    number: int
    content: bytes

    @property
    def fields(self) -> dict[str, Any]:
        return _fields(self.content)

    @property
    def is_free(self) -> bool:
        """Nobody holds it: it was never made, or released, or its process died on this machine
        (and worked alone: of the others that may still write nobody here knows)."""
        if self.number == 0 or self.fields.get("released"):
            return True
        return not self.fields.get("several") and _is_gone(self.fields)


class HeldLease(NamedTuple):
    """What who follows a lease must know of it."""

    number: int
    token: str


@contextmanager
def lease(
    path: ObjectPath, *, emit: Emit, waiting: str, several: bool = False, clock: Clock = SYSTEM
) -> Iterator[None]:
    """Hold the lease at `path`, for everything beside it; say `waiting` once if another has it.
    `several`: others will `follow` it.

    Once it is lost, changing anything there raises InterruptedRun.
    """
    held = _acquire(path, emit=emit, waiting=waiting, several=several, clock=clock)
    _ours[path] = held
    try:
        with guards.guarded(path.parent, held.check):
            yield
    finally:
        _ours.pop(path, None)
        held.release()


@contextmanager
def follow(path: ObjectPath, lease: HeldLease, *, clock: Clock = SYSTEM) -> Iterator[None]:
    """Work under the lease at `path` that another process holds for this one, too.

    Once it is lost or released, changing anything beside it raises InterruptedRun.
    """
    followed = _Followed(path, lease, clock=clock)
    try:
        with guards.guarded(path.parent, followed.check):
            yield
    finally:
        followed.end()


def held_lease(path: ObjectPath) -> HeldLease | None:
    """The lease that this process holds at `path`, for those who follow it; None without one."""
    held = _ours.get(path)
    return None if held is None else HeldLease(held.number, held.token)


def hold_on(path: ObjectPath, *, on: bool) -> None:
    """While `on`, the end of this process's lease at `path` does not release it: others under it
    may still be writing. Then it runs out, as if its holder were dead."""
    if (held := _ours.get(path)) is not None:
        held.holds_on = on


def is_held(path: ObjectPath) -> bool:
    """Whether a process seems to hold the lease at `path` now: by the store's clock and ours, so
    only good for telling."""
    newest = _highest(path)
    if newest.is_free:
        return False
    try:
        written = buckets.look_up(_numbered(path, newest.number)).modified_ns
    except FileNotFoundError:
        return False
    return time.time() - written / 1e9 < PATIENCE_S


class _Lease:
    """A lease that is looked after beside all else; `_look` says since when it is surely alive."""

    def __init__(self, path: ObjectPath, number: int, *, clock: Clock) -> None:
        self._path, self.number, self._clock = path, number, clock
        self._alive = clock.now_s()
        self._is_lost = False
        self._looking: Repeating | None = None

    def start(self) -> None:
        # The first look comes early: who took the same number at the same moment is seen then.
        after_s = min(_POLL_S, BEAT_S)
        self._looking = self._clock.repeat(self._keep, after_s=after_s, name="lease")

    def check(self) -> None:
        """Raise InterruptedRun if another process may have taken over."""
        silent_s = self._clock.now_s() - self._alive
        if not self._is_lost and silent_s < PATIENCE_S:
            return
        raise InterruptedRun(
            f"another vitctl took over {self._path.parent}"
            if self._is_lost
            else f"{self._path.parent} may have been taken over: the lease could not be renewed "
            f"for {silent_s:.0f} s",
            hint="run the same command again: it goes on, or waits for the other to finish",
        )

    def end(self) -> None:
        if self._looking is not None:
            self._looking.end()

    def _keep(self) -> float | None:
        try:
            alive = self._look()
        except (OutOfReachError, OSError):
            return BEAT_S  # `check` minds how long it has been
        if self._is_lost:
            return None
        self._alive = alive
        return BEAT_S

    def _look(self) -> float:
        """Look, and set `_is_lost`. The moment, by the clock, at which it was alive for certain."""
        raise NotImplementedError


class _Held(_Lease):
    """A lease of this process, which each look keeps alive."""

    def __init__(
        self, path: ObjectPath, number: int, fields: dict[str, Any], *, clock: Clock
    ) -> None:
        super().__init__(path, number, clock=clock)
        self._fields = fields
        self.token: str = fields["token"]
        self.holds_on = False
        self.start()

    def release(self) -> None:
        self.end()
        if self._is_lost or self.holds_on:
            return
        with suppress(OutOfReachError, OSError):
            if self._is_anothers():
                return
            self._write(released=True)
            older = range(max(1, self.number - 8), self.number)
            buckets.remove((_numbered(self._path, n) for n in older), guarded=False)

    def _look(self) -> float:
        now = self._clock.now_s()
        if self._is_anothers():
            self._is_lost = True
            return now
        self._fields["beat"] += 1
        self._write()
        self._is_lost = _highest_number(self._path) > self.number
        return now

    def _is_anothers(self) -> bool:
        """Whether another process made the lease of this very number: a store that doesn't know
        the condition lets the last of several do so, also after the others looked."""
        with suppress(FileNotFoundError):
            fields = _fields(buckets.read(_numbered(self._path, self.number)))
            return fields.get("token") != self.token
        return False

    def _write(self, **more: Any) -> None:
        content = json.dumps({**self._fields, **more}).encode()
        buckets.put(_numbered(self._path, self.number), content)


class _Followed(_Lease):
    """A lease of another process, which is watched."""

    def __init__(self, path: ObjectPath, lease: HeldLease, *, clock: Clock) -> None:
        super().__init__(path, lease.number, clock=clock)
        self._token = lease.token
        self._beat, self._last_look_s = -1, self._alive
        self._look()
        self.start()

    def _look(self) -> float:
        """A beat that is new was written after the look before: who waits for this lease to run
        out began to count then at the earliest."""
        now, alive = self._clock.now_s(), self._alive
        newest = _highest(self._path)
        fields = newest.fields
        ours = (newest.number, fields.get("token")) == (self.number, self._token)
        self._is_lost = not ours or bool(fields.get("released"))
        if not self._is_lost and fields.get("beat") != self._beat:
            self._beat, alive = fields["beat"], self._last_look_s
        self._last_look_s = now
        return alive


_ours: dict[ObjectPath, _Held] = {}
"""The leases of this process."""


def _acquire(
    path: ObjectPath, *, emit: Emit, waiting: str, several: bool = False, clock: Clock = SYSTEM
) -> _Held:
    announced = False
    last, since = _Newest(0, b""), clock.now_s()
    while True:
        now = _highest(path)
        if now != last:
            last, since = now, clock.now_s()
        if last.is_free or clock.now_s() - since > PATIENCE_S:
            held = _take(path, last.number + 1, several=several, clock=clock)
            if held is not None:
                return held
            continue
        if not announced:
            emit(Note(waiting))
            announced = True
        clock.sleep(_POLL_S)


def _take(
    path: ObjectPath, number: int, *, several: bool = False, clock: Clock = SYSTEM
) -> _Held | None:
    """The lease of that number, if it is ours: of several who try, the store lets one create it."""
    fields = {"token": uuid.uuid4().hex, "beat": 0, "several": several, **asdict(Holder.this())}
    place = _numbered(path, number)
    try:
        buckets.put(place, json.dumps(fields).encode(), new=True)
        # A store that doesn't know the condition kept the last of them.
        ours = _fields(buckets.read(place)).get("token") == fields["token"]
    except (FileExistsError, FileNotFoundError):
        return None
    if not ours or _highest_number(path) > number:
        return None
    return _Held(path, number, fields, clock=clock)


def _highest(path: ObjectPath) -> _Newest:
    while (number := _highest_number(path)) > 0:
        with suppress(FileNotFoundError):  # removed by the next holder meanwhile
            return _Newest(number, buckets.read(_numbered(path, number)))
    return _Newest(0, b"")


def _highest_number(path: ObjectPath) -> int:
    names = [name for name, _ in buckets.children(path)]
    return max((int(name) for name in names if name.isdigit()), default=0)


def _fields(content: bytes) -> dict[str, Any]:
    try:
        value = strict_json.loads(content)
    except strict_json.StrictJSONError:
        return {}
    return value if isinstance(value, dict) else {}


def _numbered(path: ObjectPath, number: int) -> ObjectPath:
    return path / f"{number:0{_DIGITS}}"


def _is_gone(fields: dict[str, Any]) -> bool:
    """Whether the holder ran on this very machine, in this very container, and ended: then nobody
    needs to wait."""
    try:
        return Holder("", fields["world"], fields["pid"], fields["since"]).is_gone
    except (KeyError, TypeError):
        return False
