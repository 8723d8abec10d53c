"""Profile intervals: fix one parameter, refit the others, keep what the cost allows.

A value belongs to the interval while the cost stays under cost_min (1 + F(1, n - k) / (n - k)),
the likelihood-ratio bound for normal scatter of unknown size. It follows the curved valleys of
this law, where a bound from the curvature alone would be too short on one side. The frontier's
points are taken as given; `selection` corrects for how they were chosen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy.special import fdtri

from vitctl.scaling.fit import Fit
from vitctl.scaling.laws import PARAMETERS, Floats, amplitude, in_unit
from vitctl.scaling.names import FREE, Parameter
from vitctl.scaling.solver import solve

Interval = tuple[float | None, float | None]
"""A side on which no value can be excluded is None, not a large number."""

_FARTHEST = 1e3  # of log a in any unit, where no data bounds it; the other parameters have bounds
_FIRST_STEP = 1e-3  # of log a and b, of the range of errors, and of d or the smallest compute
_CUTS = 40
_PRECISION = 1e-5  # of the half-width


def profile_intervals(
    fit: Fit, compute: Floats, error: Floats, *, level: float = 0.95
) -> dict[Parameter, Interval]:
    """The interval of each free parameter, from the points [n] of the fit.

    All ends are searched at once: growing steps until the cost passes the threshold, then false
    position, each refit starting from its neighbour on the path and from the fit itself.
    """
    names = FREE[fit.form]
    limits_to_find = _Limits.of(fit, compute, names)
    index, sign = limits_to_find.index, limits_to_find.sign
    at_end = (np.arange(len(index)), index)
    limit = np.where(sign < 0, limits_to_find.lower[at_end], limits_to_find.upper[at_end])
    room = np.minimum(
        (limit - limits_to_find.centre[at_end]) * sign, np.where(index == 0, _FARTHEST, np.inf)
    )

    threshold = _threshold(fit, level)
    sizes = np.array([1.0, 1.0, np.ptp(error), max(fit.theta[3], (compute / fit.unit).min())])
    step = np.minimum(_FIRST_STEP * sizes[index], room)
    inside, outside = np.zeros(len(index)), np.full(len(index), np.nan)
    # The root of the rise in cost is nearly straight in the offset, which makes it easy to solve.
    low, high = np.zeros(len(index)), np.full(len(index), np.nan)
    initial = limits_to_find.centre.copy()

    def try_out(at: np.ndarray, offset: Floats) -> np.ndarray:
        """Move `inside` or `outside` of the ends `at` to their offsets; whether inside."""
        cost, theta = limits_to_find.take(at).refit(fit, error, sign[at] * offset, initial[at])
        rise = np.sqrt(np.maximum(cost - fit.cost, 0.0))
        within = cost <= threshold
        inside[at[within]], low[at[within]] = offset[within], rise[within]
        outside[at[~within]], high[at[~within]] = offset[~within], rise[~within]
        initial[at[within]] = theta[within]
        return within

    searching = room > 0
    while len(at := np.flatnonzero(searching)):
        searching[at] = try_out(at, step[at]) & (step[at] < room[at])
        step[at] = np.minimum(step[at] * 4, room[at])

    crossed = np.flatnonzero(np.isfinite(outside))
    wanted = math.sqrt(threshold - fit.cost)
    for _ in range(_CUTS):
        at = crossed[outside[crossed] - inside[crossed] > _PRECISION * outside[crossed]]
        if not len(at):
            break
        share = (wanted - low[at]) / np.maximum(high[at] - low[at], 1e-300)
        # Past the straight line's crossing by a little, so that both sides close in.
        share = np.clip(share + np.where(share < 0.5, 0.02, -0.02), 0.02, 0.98)
        try_out(at, inside[at] + share * (outside[at] - inside[at]))

    limits = np.where(np.isfinite(outside), limits_to_find.centre[at_end] + sign * outside, limit)
    # Reaching zero is a true end (no floor, no shift); any other bound excludes nothing.
    open_end = ~np.isfinite(outside) & ~((sign < 0) & (index > 0))
    # Nor does an end where another parameter's upper bound, not the data, raised the cost.
    held = (initial >= limits_to_find.upper) & (limits_to_find.upper > limits_to_find.lower)
    open_end |= held[:, 1] & (index != 1) | held[:, 3] & (index != 3)
    limits = np.where(index == 3, limits * fit.unit, limits)
    values = [
        None if unknown else float(end) for end, unknown in zip(limits, open_end, strict=True)
    ]
    return {name: _natural(name, *values[2 * i : 2 * i + 2]) for i, name in enumerate(names)}


@dataclass(frozen=True)
class _Limits:
    """The ends of all intervals, two a parameter: which one [m], in which direction [m], and the
    problem to refit for each: compute [m, n], the fit's theta and its bounds [m, 4].

    All work in the fit's unit of compute but those of `a`, which holds still in the user's: there
    a value of it is another question, as a at C + d = 1 is.
    """

    index: np.ndarray
    sign: Floats
    compute: Floats
    centre: Floats
    lower: Floats
    upper: Floats

    @staticmethod
    def of(fit: Fit, compute: Floats, names: Sequence[Parameter]) -> _Limits:
        index = np.repeat([PARAMETERS.index(name) for name in names], 2)
        largest = float(compute.max())

        def stacked(unit: float) -> list[Floats]:
            theta = in_unit(in_unit(fit.theta, 1 / fit.unit), unit)
            bounds = fit.bounds.arrays(fit.form, largest_compute=largest, unit=unit)
            return [compute / unit, theta, *bounds]

        rows = [stacked(1.0 if i == 0 else fit.unit) for i in index]
        columns = [np.stack(column) for column in zip(*rows, strict=True)]
        return _Limits(index, np.tile([-1.0, 1.0], len(names)), *columns)

    def take(self, at: np.ndarray) -> _Limits:
        return _Limits(*(getattr(self, one.name)[at] for one in fields(self)))

    def refit(
        self, fit: Fit, error: Floats, offset: Floats, initial: Floats
    ) -> tuple[Floats, Floats]:
        """Cost [m] and theta [m, 4] with each end's parameter held `offset` away from the fit."""
        m = len(self.index)
        held = (np.arange(m), self.index)
        low, high = self.lower.copy(), self.upper.copy()
        low[held] = high[held] = self.centre[held] + offset
        solution = solve(
            np.concatenate([self.compute, self.compute]),
            error,
            weight=np.ones(len(error)),
            initial=np.concatenate([initial, self.centre]),
            lower=np.concatenate([low, low]),
            upper=np.concatenate([high, high]),
            objective=fit.objective,
        )
        cost, theta = solution.cost.reshape(2, m), solution.theta.reshape(2, m, 4)
        best = np.argmin(cost, axis=0)
        return cost[best, np.arange(m)], theta[best, np.arange(m)]


def _threshold(fit: Fit, level: float) -> float:
    freedom = fit.degrees_of_freedom
    ratio = float(fdtri(1, freedom, level)) / freedom
    # The tiny term keeps a perfect fit's interval from ending inside its own rounding.
    return fit.cost * (1 + ratio) + 1e-24


def _natural(name: Parameter, low: float | None, high: float | None) -> Interval:
    if name != "a":
        return low, high
    return (
        None if low is None else amplitude(low),
        None if high is None else amplitude(high),
    )
