"""The state of each process, processes that ended, and the step at which all stop.

A thread writes to the coordination service every second: a count of its writes (never a time:
clocks differ and jump), and the step and phase of the main thread. It reads the same of the other
processes. The thread goes on while the main thread waits for the devices.

Stopping. A signal reaches one process; all must stop after the same step, or some would wait in a
collective for those that left. A process that reads of a stop freezes: its main thread finishes the
step under way and waits, and its thread posts the last step that the main thread has passed. When
all processes have posted, all stop after the highest of these steps plus one, which no process has
passed. Only threads post, so a main thread that waits for another process's step cannot block this.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vitctl.errors import InterruptedRun, VitctlError
from vitctl.text import strict_json

_ROOT = "vitctl/pulse"
_EVERY_S = 1.0
# With many processes each writes less often, so that the service gets about 64 requests a second.
_ASKS_PER_S = 64
_HURRY_S = 0.05


class Followed(VitctlError):
    """Another process ended and reported its error itself."""


AGAIN = "run the same command again in all processes to continue"


@dataclass(frozen=True)
class MainThread:
    """The state of a main thread. `marks` counts the phases it began: any progress counts.

    Phases: "wait" (for another command), "copy" (images to this machine), "start", "data" (waits
    for a batch), "compile" (a first step), "step" (runs one, or waits for the devices), "scoring"
    (a first batch), "score", "save", "end".
    """

    step: int = 0
    phase: str = "start"
    marks: int = 0


@dataclass(frozen=True)
class Peer:
    """The last report of one process. `starved_s`: seconds that its devices had no batch so far."""

    index: int
    beat: int = -1
    host: str = "?"
    pid: int = 0
    doing: MainThread = MainThread()
    starved_s: float = 0.0

    @property
    def named(self) -> str:
        return f"process {self.index} ({self.host}, pid {self.pid})"


@dataclass(frozen=True)
class Ended:
    """A process that ended with an error: its exit code, message and hint."""

    index: int
    code: int
    message: str
    hint: str | None


class Pulse:
    """Reports of this process, and those it reads of others. One per process; see `begin`."""

    def __init__(self, client: Any, *, index: int, count: int) -> None:
        self.client, self.index, self.count = client, index, count
        self.every_s = max(_EVERY_S, count / _ASKS_PER_S)
        self.doing = MainThread()
        self.starved_s = 0.0
        self.peers = [Peer(i) for i in range(count)]
        self.ended: list[Ended] = []
        self.verdict: VitctlError | None = None
        """The watchdog's error; `check` raises it."""
        self.rounds = 0
        """Rounds of writing and reading that worked."""
        self._beat = 0
        self._over = threading.Event()
        self._hurry = threading.Event()
        self._stop = threading.Condition()
        self._reason_of_stop: Callable[[], str | None] = lambda: None
        self._passed = 0
        self._posted = False
        self._stop_at: int | None = None
        self.reason: str | None = None
        self._thread = threading.Thread(target=self._run, name="vitctl-pulse", daemon=True)

    def start(self) -> None:
        self._round()
        self._thread.start()

    def end(self) -> None:
        """No more beats."""
        self._over.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=5)

    # Called by the main thread

    def mark(self, phase: str, *, step: int | None = None) -> None:
        """The main thread begins something."""
        now = self.doing
        self.doing = MainThread(now.step if step is None else step, phase, now.marks + 1)

    def say_ended(self, error: VitctlError) -> None:
        """Report to the others why this process leaves. Never raises: they may have ended."""
        word = {"code": error.exit_code, "message": error.message, "hint": error.hint}
        try:
            self.client.key_value_set(f"{_ROOT}/ended/{self.index}", json.dumps(word), True)
        except Exception:  # the service has ended, and no process can read this
            return

    def check(self) -> None:
        """Raise if another process ended, or the watchdog has an error."""
        if self.verdict is not None:
            raise self.verdict
        if self.ended:
            raise as_error(self.ended[0])

    # Stopping

    def watch_for_stop(self, reason_of_stop: Callable[[], str | None], *, step: int) -> None:
        """`reason_of_stop` gives the reason once this process received a signal, else None;
        `step` is the number of steps done."""
        with self._stop:
            self._reason_of_stop, self._passed = reason_of_stop, step

    def stops_after(self, step: int) -> bool:
        """Whether all stop after this step. The main thread calls this after every step."""
        with self._stop:
            self._passed = step
            while self._posted and self._stop_at is None:
                self._hurry.set()
                self._stop.wait(_HURRY_S)
                self.check()
            return self._stop_at is not None and step >= self._stop_at

    # The thread

    def _run(self) -> None:
        while not self._over.is_set():
            self._hurry.wait(_HURRY_S if self._posted else self.every_s)
            self._hurry.clear()
            self._round()

    def _round(self) -> None:
        """Write and read once. A failure is only counted; the watchdog judges whether it lasts."""
        self._beat += 1
        record = {
            "beat": self._beat,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "doing": [self.doing.step, self.doing.phase, self.doing.marks],
            "starved_s": self.starved_s,
        }
        try:
            self.client.key_value_set(f"{_ROOT}/beat/{self.index}", json.dumps(record), True)
            self.peers = self._heard("beat", _peer, self.peers)
            self.ended = self._heard("ended", _ended, self.ended)
            self._agree_on_stop()
        except RuntimeError:
            return
        self.rounds += 1

    def _heard(self, what: str, read: Callable[[int, Any], Any], before: list[Any]) -> list[Any]:
        rows = self.client.key_value_dir_get(f"{_ROOT}/{what}/")
        by_index = {peer.index: peer for peer in before}
        for key, text in rows:
            index = int(key.rpartition("/")[2])
            if what != "ended" or index != self.index:
                by_index[index] = read(index, strict_json.own_text(text))
        return [by_index[index] for index in sorted(by_index)]

    def _agree_on_stop(self) -> None:
        reason = self._reason_of_stop()
        posts_by_key = dict(self.client.key_value_dir_get(f"{_ROOT}/stop/"))
        with self._stop:
            if not self._posted and (reason is not None or posts_by_key):
                word = json.dumps([self._passed, reason])
                self.client.key_value_set(f"{_ROOT}/stop/{self.index}", word)
                self._posted = True
                return
            if self._posted and self._stop_at is None and len(posts_by_key) == self.count:
                posts = {
                    int(key.rpartition("/")[2]): strict_json.own_text(posts_by_key[key])
                    for key in posts_by_key
                }
                asker = next(i for i in sorted(posts) if posts[i][1] is not None)
                self.reason = f"{posts[asker][1]} in process {asker}"
                self._stop_at = 1 + max(passed for passed, _ in posts.values())
                self._stop.notify_all()


_pulse: Pulse | None = None


def begin(client: Any, *, index: int, count: int) -> Pulse:
    """Start this process's beat."""
    global _pulse
    _pulse = Pulse(client, index=index, count=count)
    _pulse.start()
    return _pulse


def current() -> Pulse | None:
    """This process's pulse; None in a single process."""
    return _pulse


def mark(phase: str, *, step: int | None = None) -> None:
    """Report the phase that begins. Costs nothing in a single process."""
    if _pulse is not None:
        _pulse.mark(phase, step=step)


def starved(seconds: float) -> None:
    """Add seconds in which the devices of this process had no batch."""
    if _pulse is not None:
        _pulse.starved_s += seconds


def starved_others() -> dict[str, float]:
    """Name of each other process -> seconds its devices had no batch so far, as last heard."""
    if _pulse is None:
        return {}
    return {peer.named: peer.starved_s for peer in _pulse.peers if peer.index != _pulse.index}


def marks(index: int) -> int:
    """The number of phases that a process's main thread has begun, by its last report."""
    return 0 if _pulse is None else _pulse.peers[index].doing.marks


def check() -> None:
    """Raise if another process has left or hangs."""
    if _pulse is not None:
        _pulse.check()


def unreachable() -> VitctlError:
    """The error if the coordination service does not respond: process 0, which runs it, died."""
    return InterruptedRun("process 0 is gone, which connects the other processes", hint=AGAIN)


def as_error(ended: Ended) -> VitctlError:
    """The error of another process as this one's own, with the same exit code."""
    error = Followed(f"process {ended.index} ended: {ended.message}", hint=ended.hint)
    error.exit_code = ended.code
    return error


def _peer(index: int, record: Any) -> Peer:
    return Peer(
        index,
        record["beat"],
        record["host"],
        record["pid"],
        MainThread(*record["doing"]),
        record["starved_s"],
    )


def _ended(index: int, record: Any) -> Ended:
    return Ended(index, record["code"], record["message"], record["hint"])
