"""Axes: where ticks are, what they are labelled, and where a value lies between both ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from vitctl.text.quantities import apart

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_MANTISSAS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0))

Write = Callable[[Sequence[float]], list[str]]
"""The labels of ticks."""


def plain(values: Sequence[float]) -> list[str]:
    """Counts and other numbers, short: 20k, 0.05, 1e-6."""
    return [_short(value, label) for value, label in zip(values, apart(values), strict=True)]


def short(value: float) -> str:
    """Three digits: 7.55B."""
    return _short(float(f"{value:.3g}"), f"{value:.3g}")


def percent(values: Sequence[float]) -> list[str]:
    return [f"{label} %" for label in apart([100 * value for value in values])]


@dataclass(frozen=True)
class Scale:
    """An axis from `low` to `high`, linear or logarithmic."""

    low: float
    high: float
    log: bool = False
    write: Write = field(default=plain)

    def at(self, value: float) -> float:
        """0 at `low`, 1 at `high`."""
        low, high, value = (
            (math.log(v) for v in (self.low, self.high, value))
            if self.log
            else (self.low, self.high, value)
        )
        return (value - low) / (high - low)

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """Round values on the axis, at most about `most`, with their labels."""
        values = self._log_ticks(most) if self.log else []
        if len(values) < 3:
            values = _linear_ticks(self.low, self.high, most=most)
            values = [value for value in values if not self.log or value > 0]
        return list(zip(values, self.write(values), strict=True))

    def _log_ticks(self, most: int) -> list[float]:
        exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        best: list[float] = []
        for mantissas in _MANTISSAS:
            values = [m * 10.0**e for e in exponents for m in mantissas]
            values = [v for v in values if self.low <= v <= self.high]
            if len(values) > most and best:
                break
            best = values
        if len(best) > most:
            best = best[:: -(-len(best) // most)]
        return best


def scale_of(
    values: Sequence[float], *, log: bool = False, write: Write = plain, room: float = 0.04
) -> Scale:
    """The axis that holds all of `values`, finite ones, with a little room at both ends. One that
    is to be logarithmic is linear where a value is not positive."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if log and low > 0:
        factor = max((high / low) ** room, 1.0001)
        return Scale(low / factor, high * factor, log=True, write=write)
    if low == high:
        return Scale(low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2, write=write)
    span = (high - low) * room
    below = 0.0 if low >= 0 and low - span < 0 else low - span
    return Scale(below, high + span, write=write)


def _linear_ticks(low: float, high: float, *, most: int) -> list[float]:
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in _STEPS if s * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _short(value: float, label: str) -> str:
    for scale, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= scale and abs(value) < 1000 * scale:
            return f"{value / scale:.6g}{suffix}"
    return label
