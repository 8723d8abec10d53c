"""What choosing the best runs does to the worth of repeated data.

Where a training set is repeated often, the curve is flat and the running minimum keeps the lucky
runs only: long runs look better than they are, and r too large. As `selection` does for the law,
tables are simulated about the fitted law and put through the same choice and the same fit. How far
their r lies from the one that made them, and how much it scatters, moves and stretches the
interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vitctl.scaling.fit import Fit
from vitctl.scaling.frontier import frontier_mask
from vitctl.scaling.laws import SMALLEST_ERROR, Floats, predict
from vitctl.scaling.points import Points
from vitctl.scaling.profile import Interval
from vitctl.scaling.solver import solve

_NEAR = 2.5  # runs within this many standard deviations of the law may have been lucky
_ROUNDS = 3
_STEPS = np.array([-8, -4, -2.5, -1.5, -0.75, 0, 0.75, 1.5, 2.5, 4, 8])  # in half-widths
_LEAST_WIDTH = 0.01  # of log r
_MOST = math.log(1e4)  # of log r; no table tells larger ones from infinity
_LEAST = math.log(0.05)


@dataclass(frozen=True)
class Luck:
    """log r of simulated tables [draws] and the log r that made them; the noise they have."""

    drawn: Floats
    made_with: float
    noise: float


def simulate(
    points: Points,
    share: Floats,
    shares: Floats,
    log_worths: Floats,
    fit: Fit,
    index: np.ndarray,
    *,
    log_worth: float,
    scatter: float,
    noise: float | None,
    draws: int,
    seed: int,
) -> Luck:
    """Simulate tables of runs [n] about a law, whose runs count for `share` [n] of their compute.

    The r of each is searched among `log_worths` [m], for which the runs count for `shares` [m, n].
    Runs far above the law keep their error, as they were never near to being chosen.
    """
    predicted = predict(fit.theta, points.compute * share / fit.unit)
    sigma = scatter if noise is None else noise
    drawn = np.empty(0)
    for _ in range(_ROUNDS if noise is None else 1):
        rng = np.random.default_rng(seed)  # the same draws each round, so that the rounds converge
        near = np.abs(points.error - predicted) <= _NEAR * sigma
        near[index] = True
        tables = predicted + sigma * rng.standard_normal((draws, len(points)))
        tables = np.where(near, np.maximum(tables, SMALLEST_ERROR), points.error)
        weight = _chosen(points, tables)
        drawn = _fits(points, tables, weight, shares, log_worths, fit)
        missed = np.sum(weight * (tables - predicted) ** 2, axis=1) / weight.sum(1)
        spread = float(np.sqrt(np.median(missed)))
        observed = float(np.sqrt(np.mean((points.error - predicted)[index] ** 2)))
        if noise is None and spread > 0:
            sigma *= float(np.clip(observed / spread, 0.7, 1.5))
    return Luck(drawn=drawn, made_with=log_worth, noise=sigma)


def grid(log_worth: float, interval: Interval) -> Floats:
    """The log r in which simulated tables are searched: close to the fitted one in units of its
    interval, on whose scale the cost is a parabola."""
    low, high = interval
    widths = [log_worth - math.log(low)] if low else []
    widths += [math.log(high) - log_worth] if high is not None else []
    half = max([_LEAST_WIDTH, *widths]) if widths else 1.0
    return np.unique(np.clip(log_worth + half * _STEPS, _LEAST, _MOST))


def widened(interval: Interval, luck: Luck, *, scatter: float, level: float) -> Interval:
    """An interval of r, stretched to the noise and out to what the simulations say."""
    tail = 50 * (1 - level)
    low, middle, high = np.percentile(luck.drawn, [tail, 50, 100 - tail])
    bias = middle - luck.made_with
    centre = luck.made_with - bias
    stretch = max(1.0, luck.noise / scatter) if scatter > 0 else 1.0
    below, above = interval
    out: list[float | None] = []
    for end, simulated, sign in (
        (below, centre - (high - middle), -1.0),
        (above, centre + (middle - low), 1.0),
    ):
        if end is None or (sign > 0 and high >= _MOST - 1e-9 and simulated >= _MOST):
            out.append(None if sign > 0 else end)
            continue
        if end == 0:
            out.append(0.0)
            continue
        at = luck.made_with + stretch * (math.log(end) - luck.made_with)
        at += sign * max(0.0, -sign * bias)
        at = min(at, simulated) if sign < 0 else max(at, simulated)
        out.append(None if sign > 0 and at >= _MOST else math.exp(at))
    return out[0], out[1]


def _chosen(points: Points, tables: Floats) -> Floats:
    """Weights [draws, n]: 1 for the runs that no cheaper one on the same training set beats."""
    assert points.data_size is not None
    weight = np.zeros_like(tables)
    for size in np.unique(points.data_size):
        own = np.flatnonzero(points.data_size == size)
        every = np.ones((len(tables), len(own)), bool)
        weight[:, own] = frontier_mask(points.compute[own], tables[:, own], every)
    return weight


def _fits(
    points: Points,
    tables: Floats,
    weight: Floats,
    shares: Floats,
    log_worths: Floats,
    fit: Fit,
) -> Floats:
    """log r of each table [draws]: the vertex of the parabola through the best of the grid and its
    neighbours."""
    lower, upper = fit.bounds.arrays(
        fit.form, largest_compute=float(points.compute.max()), unit=fit.unit
    )
    used = int(np.count_nonzero(weight, axis=1).max())
    columns = np.argsort(weight == 0, axis=1, kind="stable")[:, :used]
    y, w = (np.take_along_axis(values, columns, axis=1) for values in (tables, weight))
    x = np.concatenate([(points.compute * counted / fit.unit)[columns] for counted in shares])
    solution = solve(
        x,
        np.tile(y, (len(shares), 1)),
        weight=np.tile(w, (len(shares), 1)),
        initial=np.broadcast_to(fit.theta, (len(x), 4)),
        lower=lower,
        upper=upper,
        objective=fit.objective,
    )
    cost = solution.cost.reshape(len(shares), len(tables))
    best = np.argmin(cost, axis=0)
    inner = np.clip(best, 1, len(log_worths) - 2)
    every = np.arange(len(tables))
    left, middle, right = (cost[inner + k, every] for k in (-1, 0, 1))
    x0, x1, x2 = (log_worths[inner + k] for k in (-1, 0, 1))
    # Newton's divided differences.
    rise, fall = (middle - left) / (x1 - x0), (right - middle) / (x2 - x1)
    curvature = (fall - rise) / (x2 - x0)
    with np.errstate(divide="ignore", invalid="ignore"):
        vertex = (x0 + x1) / 2 - rise / (2 * curvature)
    on_edge = (best == 0) | (best == len(log_worths) - 1) | ~(curvature > 0)
    return np.where(on_edge, log_worths[best], np.clip(vertex, x0, x2))
