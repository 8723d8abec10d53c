"""Where the time of a run went: every moment of it is in exactly one account, across restarts.

    step        the devices compute steps the run keeps
    data_wait   the devices have no batch to compute on
    compile     tracing and compiling
    checkpoint  saving
    evaluation  scoring held-out images
    start       restoring, the first batch
    redone      steps done before, once more: a restart or a roll-back lost them
    stopped     between a start's end and the next, where the run was not finished; the next one's
                imports are in it

`<run>/goodput.json` keeps them, one row a start. It is replaced whole, by steps and by a thread, so
a crash leaves the newest row at most `_FLUSH_S` old, also in an hour of compiling. What happened
after it counts as stopped, since nobody saw it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from vitctl import processes
from vitctl.artifacts.runs import GOODPUT
from vitctl.errors import VitctlError
from vitctl.places import Place
from vitctl.text import quantities, strict_json

Account = Literal[
    "step", "data_wait", "compile", "checkpoint", "evaluation", "start", "redone", "stopped"
]
ACCOUNTS: tuple[Account, ...] = get_args(Account)
# What a restart throws away: the same work again, and nobody there.
LOST: tuple[Account, ...] = ("redone", "stopped")

# The accounts as people say them.
WORDS: dict[str, str] = {
    "step": "training steps",
    "data_wait": "waiting for data",
    "compile": "compiling",
    "checkpoint": "saving",
    "evaluation": "scoring",
    "start": "starting",
    "redone": "steps done again",
    "stopped": "stopped",
}

FILE = GOODPUT
_FORMAT = 1
_FLUSH_S = 10.0
# Work that counts as done again while a run goes over steps it had reached before.
_REPEATABLE = frozenset({"step", "data_wait", "checkpoint", "evaluation"})


@dataclass
class StartRow:
    """One start of a run. Times are seconds; `began` is seconds since 1970.

    `ended` is None as long as nothing ended it, and after a crash.
    """

    began: float
    from_step: int
    step: int
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(ACCOUNTS, 0.0))
    ended: Literal["finished", "stopped"] | None = None

    @property
    def seen_s(self) -> float:
        """Length of this start itself, without the gap before it."""
        return sum(s for account, s in self.seconds.items() if account != "stopped")


class Meter:
    """Puts the time since it was made into accounts; one is open at any moment, so that they sum
    to the wall time by construction. Any thread may `settle`."""

    def __init__(self, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._since = clock()
        self.account: Account = "start"
        self.redoing = False
        self.seconds: dict[str, float] = dict.fromkeys(ACCOUNTS, 0.0)

    def now(self) -> float:
        return self._clock()

    def settle(self) -> None:
        """Book the time up to now."""
        with self._lock:
            now = self._clock()
            self.seconds[self._booked(self.account)] += now - self._since
            self._since = now

    def switch(self, account: Account) -> None:
        """From now on time belongs to `account`."""
        with self._lock:
            self.settle()
            self.account = account

    @contextmanager
    def during(self, account: Account) -> Iterator[None]:
        """Time within the block belongs to `account`, afterwards to what was before."""
        before = self.account
        self.switch(account)
        try:
            yield
        finally:
            self.switch(before)

    def move(self, seconds: float, source: Account, target: Account) -> None:
        """Time that was booked under `source` turns out to belong to `target`."""
        with self._lock:
            self.settle()
            source, target = self._booked(source), self._booked(target)
            moved = min(seconds, self.seconds[source])
            self.seconds[source] -= moved
            self.seconds[target] += moved

    def _booked(self, account: Account) -> Account:
        return "redone" if self.redoing and account in _REPEATABLE else account


class Ledger:
    """A run's `goodput.json` while it is worked on. Use as a context manager: what ends it decides
    whether the time until the next start counts."""

    def __init__(
        self,
        path: Place,
        *,
        meter: Meter,
        step: int,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.path, self.meter = path, meter
        self.past = read(path)
        self._reached = max((row.step for row in self.past), default=step)
        meter.settle()
        began = wall() - sum(meter.seconds.values())
        self.row = StartRow(began=began, from_step=step, step=step)
        if self.past and self.past[-1].ended != "finished":
            last = self.past[-1]
            # A clock that was set back must not make time negative.
            self.row.seconds["stopped"] = max(0.0, began - (last.began + last.seen_s))
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._flushed = float("-inf")
        self.at(step)
        self.flush()

    def __enter__(self) -> Ledger:
        self._thread = threading.Thread(target=self._keep_up, name="goodput", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        with self._lock:
            self._over.set()
            self.row.ended = "finished" if kind is None else "stopped"
            self._write(self.path.write_atomic)

    def _keep_up(self) -> None:
        while not self._over.wait(_FLUSH_S):
            with self._lock:
                if self._over.is_set():  # another ledger may write by now
                    return
                # A disk that is full, or gone, is met by who writes what matters.
                with suppress(OSError, VitctlError):
                    self._write(self.path.write_behind)  # training goes on meanwhile

    def at(self, step: int) -> None:
        """`step` steps are done; the next one is new, or known already."""
        self.meter.settle()
        self.row.step = max(self.row.step, step)
        self.meter.redoing = step < self._reached
        self._reached = max(self._reached, step)
        if self.meter.now() - self._flushed >= _FLUSH_S:
            with self._lock:
                self._write(self.path.write_behind)  # training goes on meanwhile

    def flush(self) -> None:
        """Write what is known now."""
        with self._lock:
            self._write(self.path.write_atomic)

    def _write(self, write: Callable[[bytes], None]) -> None:
        self.meter.settle()
        stopped = self.row.seconds["stopped"]
        self.row.seconds = {**self.meter.seconds, "stopped": stopped}
        rows = [asdict(row) for row in [*self.past, self.row]]
        if processes.first():  # of several, the one whose time is told
            text = json.dumps({"format": _FORMAT, "starts": rows}) + "\n"
            write(text.encode())
        self._flushed = self.meter.now()

    def total(self) -> dict[str, float]:
        """Seconds by account over all starts, up to now."""
        self.meter.settle()
        current = {**self.meter.seconds, "stopped": self.row.seconds["stopped"]}
        return {
            account: current[account] + sum(row.seconds.get(account, 0.0) for row in self.past)
            for account in ACCOUNTS
        }


def read(path: Place) -> list[StartRow]:
    """The starts a run had, oldest first; none where nothing readable was written."""
    try:
        return _starts(path.read_bytes())
    except (OSError, ValueError, KeyError, TypeError):
        return []


def is_damaged(path: Place) -> bool:
    """Whether there is a file that this program did not write so."""
    try:
        _starts(path.read_bytes())
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError):
        return True
    return False


def _starts(content: bytes) -> list[StartRow]:
    """Raises ValueError, KeyError or TypeError for what this program did not write."""
    document = strict_json.loads(content)
    if document["format"] > _FORMAT:
        return []
    return [_row(row) for row in document["starts"]]


def _row(fields: Mapping[str, Any]) -> StartRow:
    """Raises ValueError or TypeError for what this program did not write."""
    row = StartRow(**fields)
    numbers = [row.began, *row.seconds.values()]
    if not all(isinstance(value, int | float) and value >= 0 for value in numbers):
        raise ValueError("times are numbers of seconds")
    if type(row.from_step) is not int or type(row.step) is not int:
        raise TypeError("steps are whole numbers")
    if row.ended not in (None, "finished", "stopped") or not {*row.seconds} <= {*ACCOUNTS}:
        raise ValueError("unknown words")
    return row


def total(rows: Sequence[StartRow]) -> dict[str, float]:
    """Seconds by account over all starts."""
    return {a: sum(row.seconds.get(a, 0.0) for row in rows) for a in ACCOUNTS}


def shares(seconds: Mapping[str, float]) -> dict[str, float]:
    """Each account's share of the wall time; they sum to 1. Nothing booked yet: no share."""
    whole = sum(seconds.values())
    return {account: s / whole for account, s in seconds.items()} if whole > 0 else {}


def largest(shares: Mapping[str, float]) -> list[tuple[str, float]]:
    """Accounts and their shares, the largest first; what is under half a percent is left out."""
    return sorted(
        ((account, share) for account, share in shares.items() if share >= 0.005),
        key=lambda item: -item[1],
    )


def in_words(seconds: Mapping[str, float], *, starts: int) -> str:
    """Where the time went, in one line; what is under half a percent is left out."""
    parts = [f"{100 * share:.0f} % {WORDS[account]}" for account, share in largest(shares(seconds))]
    in_starts = f" in {starts} starts" if starts > 1 else ""
    return f"{quantities.duration(sum(seconds.values()))}{in_starts}: {', '.join(parts)}"


def as_json(rows: Sequence[StartRow]) -> dict[str, Any]:
    """What `vitctl show --json` tells of a run's time."""
    seconds = total(rows)
    whole = sum(seconds.values())
    return {
        "wall_s": whole,
        "starts": len(rows),
        "goodput": seconds["step"] / whole if whole else None,
        "seconds": seconds,
        "shares": shares(seconds),
    }
