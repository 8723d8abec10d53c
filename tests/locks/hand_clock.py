"""A clock that stands still but for who sleeps: then time goes by at once, and whatever is due is
done meanwhile, in its order, by the thread that sleeps."""

from __future__ import annotations

import threading
from collections.abc import Callable

from vitctl.locks.timing import Work


class HandClock:
    """`vitctl.locks.timing.Clock`, without threads of its own."""

    def __init__(self) -> None:
        self._now_s = 1e6
        self._due: list[_Due] = []
        self._turn = threading.RLock()

    def now_s(self) -> float:
        return self._now_s

    def sleep(self, seconds: float) -> None:
        with self._turn:
            until_s = round(self._now_s + seconds, 6)
            while (due := min(self._due, key=_moment, default=None)) and due.at_s <= until_s:
                self._now_s = max(self._now_s, due.at_s)
                due.happen(self._now_s)
            self._now_s = until_s

    def once(self, work: Callable[[], object], *, after_s: float) -> None:
        def last() -> None:
            work()

        self.repeat(last, after_s=after_s)

    def repeat(self, work: Work, *, after_s: float, name: str = "") -> _Due:
        return _Due(work, round(self._now_s + after_s, 6), self._due, self._turn)


class _Due:
    def __init__(self, work: Work, at_s: float, others: list[_Due], turn: threading.RLock) -> None:
        self.at_s = at_s
        self._work, self._others, self._turn = work, others, turn
        with turn:
            others.append(self)

    def happen(self, now_s: float) -> None:
        pause = self._work()
        if pause is None:
            self.end()
        else:
            self.at_s = round(now_s + pause, 6)

    def end(self) -> None:
        with self._turn:
            if self in self._others:
                self._others.remove(self)


def _moment(due: _Due) -> float:
    return due.at_s
