"""How long a run still takes, from how long it took so far. Numbers in, numbers out."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping

import numpy as np

from vitctl.events import Left

# Windows that are looked back on: old ones say little about a machine shared with others.
_WINDOWS = 100
# Below so many the spread is a guess.
_ENOUGH = 5
# Steps after the first (which warms up) that give a first, rough pace until windows do.
_ENOUGH_STEPS = 2
# The rest at the pace of the fastest and of the slowest tenth of what was seen. Wider than the
# error of the mean, on purpose: pace drifts (neighbours, throttling), it is not independent noise.
_LOW, _HIGH = 10, 90


class Pace:
    """Seconds a step over recent windows, and seconds a pause (saving, scoring) takes."""

    def __init__(self) -> None:
        self._windows: deque[tuple[int, float]] = deque(maxlen=_WINDOWS)
        self._pauses: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_WINDOWS))
        self._early = (0, 0.0)

    def early(self, count: int, seconds: float) -> None:
        """The first `count` steps that were timed took `seconds` altogether, pauses left out."""
        self._early = (count, seconds)

    def steps(self, count: int, seconds: float) -> None:
        """`count` steps took `seconds`, pauses left out."""
        if count > 0:
            self._windows.append((count, seconds))

    def pause(self, kind: str, seconds: float) -> None:
        self._pauses[kind].append(seconds)

    def left(self, steps: int, *, pauses: Mapping[str, int]) -> Left | None:
        """Time for `steps` more and so many pauses of each kind; None until enough was seen.

        A pause of a kind that was not met yet counts nothing.
        """
        if len(self._windows) >= _ENOUGH:
            counts, seconds = np.array(self._windows, np.float64).T
            mean = seconds.sum() / counts.sum()
            low, high = np.percentile(seconds / counts, [_LOW, _HIGH])
        elif self._early[0] >= _ENOUGH_STEPS:
            low = mean = high = self._early[1] / self._early[0]  # nothing is known of the spread
        else:
            return None
        standing = sum(
            count * float(np.mean(self._pauses[kind]))
            for kind, count in pauses.items()
            if kind in self._pauses
        )
        # The mean of a few very slow windows lies above their nine tenths.
        low, high = min(low, mean), max(high, mean)
        return Left(*(float(pace * steps + standing) for pace in (mean, low, high)))
