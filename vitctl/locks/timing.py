"""The time by which locks are held and waited for, as an argument: tests pass a clock of their own,
on which hours go by at once and no busy machine makes a beat late."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

Work = Callable[[], float | None]
"""Called again after as many seconds as it returns; after None no more."""


class Repeating(Protocol):
    """Work that is done again and again beside the caller."""

    def end(self) -> None:
        """Return when the work is not under way and will not be done again."""


class Clock(Protocol):
    """What a lock needs of time."""

    def now_s(self) -> float:
        """Seconds since any moment."""

    def sleep(self, seconds: float) -> None:
        """Return after so long."""

    def repeat(self, work: Work, *, after_s: float, name: str) -> Repeating:
        """Do `work` for the first time after so many seconds, in a thread of this name."""


class _SystemClock:
    # Goes on while a machine sleeps, where there is such a clock.
    _clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def now_s(self) -> float:
        return time.clock_gettime(self._clock)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def repeat(self, work: Work, *, after_s: float, name: str) -> Repeating:
        return _Thread(work, after_s=after_s, name=name)


class _Thread:
    def __init__(self, work: Work, *, after_s: float, name: str) -> None:
        self._work, self._after_s = work, after_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        pause: float | None = self._after_s
        while pause is not None and not self._over.wait(pause):
            pause = self._work()

    def end(self) -> None:
        self._over.set()
        self._thread.join()


SYSTEM: Clock = _SystemClock()
"""The machine's."""
