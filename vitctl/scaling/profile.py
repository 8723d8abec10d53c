"""Profile intervals: fix one parameter, refit the others, keep what the cost allows.

A value belongs to the interval while the cost stays under cost_min (1 + F(1, n - k) / (n - k)),
the likelihood-ratio bound for normal scatter of unknown size. It follows the curved valleys of
this law, where a bound from the curvature alone would be too short on one side. The frontier's
points are taken as given; `selection` asks how they came to be chosen.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import fdtri

from vitctl.scaling.fit import Fit
from vitctl.scaling.laws import FREE, PARAMETERS, Floats
from vitctl.scaling.names import Parameter
from vitctl.scaling.solver import solve

Interval = tuple[float | None, float | None]
"""A side on which no value can be excluded is None, not a large number."""

_FARTHEST = 1e9  # of log a, where no data bounds it; the other parameters have bounds
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
    lower, upper = fit.bounds.arrays(fit.form, largest_compute=float(compute.max()))
    centre = fit.law.theta()
    index = np.repeat([PARAMETERS.index(name) for name in names], 2)
    sign = np.tile([-1.0, 1.0], len(names))
    limit = np.where(sign < 0, lower[index], upper[index])
    room = (limit - centre[index]) * sign

    threshold = _threshold(fit, level)
    step = np.minimum(np.maximum(np.abs(centre[index]) * 1e-3, 1e-6), room)
    inside, outside = np.zeros(len(index)), np.full(len(index), np.nan)
    # The root of the rise in cost is nearly straight in the offset, which makes it easy to solve.
    low, high = np.zeros(len(index)), np.full(len(index), np.nan)
    start = np.tile(centre, (len(index), 1))

    def try_out(at: np.ndarray, offset: Floats) -> np.ndarray:
        """Move `inside` or `outside` of the ends `at` to their offsets; whether inside."""
        cost, theta = _refit(fit, compute, error, index[at], sign[at] * offset, start[at])
        rise = np.sqrt(np.maximum(cost - fit.cost, 0.0))
        within = cost <= threshold
        inside[at[within]], low[at[within]] = offset[within], rise[within]
        outside[at[~within]], high[at[~within]] = offset[~within], rise[~within]
        start[at[within]] = theta[within]
        return within

    searching = room > 0
    while len(at := np.flatnonzero(searching)):
        searching[at] = try_out(at, step[at]) & (step[at] < room[at]) & (step[at] < _FARTHEST)
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

    ends = np.where(np.isfinite(outside), centre[index] + sign * outside, limit)
    # Reaching zero is a true end (no floor, no shift); any other bound excludes nothing.
    open_end = ~np.isfinite(outside) & ~((sign < 0) & (index > 0))
    # Nor does an end where another parameter's upper bound, not the data, raised the cost.
    held = (start[:, [1, 3]] >= upper[[1, 3]]) & (upper > lower)[[1, 3]]
    open_end |= (held & (index[:, None] != [1, 3])).any(1)
    values = [None if unknown else float(end) for end, unknown in zip(ends, open_end, strict=True)]
    return {name: _natural(name, *values[2 * i : 2 * i + 2]) for i, name in enumerate(names)}


def _threshold(fit: Fit, level: float) -> float:
    freedom = fit.degrees_of_freedom
    ratio = float(fdtri(1, freedom, level)) / freedom
    # The tiny term keeps a perfect fit's interval from ending inside its own rounding.
    return fit.cost * (1 + ratio) + 1e-24


def _natural(name: Parameter, low: float | None, high: float | None) -> Interval:
    if name != "a":
        return low, high
    return (
        None if low is None else math.exp(low),
        None if high is None else math.exp(high),
    )


def _refit(
    fit: Fit, compute: Floats, error: Floats, index: np.ndarray, offset: Floats, start: Floats
) -> tuple[Floats, Floats]:
    """Cost [m] and theta [m, 4] with parameter `index` held `offset` away from the fit."""
    m = len(index)
    lower, upper = fit.bounds.arrays(fit.form, largest_compute=float(compute.max()))
    low, high = np.tile(lower, (m, 1)), np.tile(upper, (m, 1))
    centre = fit.law.theta()
    low[np.arange(m), index] = high[np.arange(m), index] = centre[index] + offset
    solution = solve(
        compute,
        error,
        weight=np.ones(len(compute)),
        start=np.concatenate([start, np.tile(centre, (m, 1))]),
        lower=np.concatenate([low, low]),
        upper=np.concatenate([high, high]),
        objective=fit.objective,
    )
    cost, theta = solution.cost.reshape(2, m), solution.theta.reshape(2, m, 4)
    best = np.argmin(cost, axis=0)
    return cost[best, np.arange(m)], theta[best, np.arange(m)]
