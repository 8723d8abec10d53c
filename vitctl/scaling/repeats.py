"""Repeated data: an image that is repeated teaches less than a new one.

    E = a (C n(e) + d)^-b + c      n(e) = (1 + r (1 - exp(-(e - 1) / r))) / e,  1 for e <= 1

A run of e epochs counts as one of n(e) e epochs on new images (Muennighoff et al. 2023, arXiv
2305.16264, section 5, whose R* is r): each repetition is worth less than the one before, and all of
them together no more than r further epochs. With r infinite nothing is lost and the law is the
plain one. So data, too, become a bottleneck of the law: with a training set of fixed size the error
levels off above c.

Fitted to the best runs on each training set (the running minimum of each), as the frontier over all
of them has hardly a run that repeats much. For each r the rest is an ordinary fit; r is searched on
a grid of its logarithm, then between its neighbours. What the term is worth is told by AICc on the
same runs, and by the runs above a budget, foretold by those below it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtri

from vitctl.scaling.fit import Bounds, Fit, fit_law, information
from vitctl.scaling.frontier import frontier
from vitctl.scaling.laws import Floats, Law
from vitctl.scaling.names import FREE, Form
from vitctl.scaling.points import Points
from vitctl.scaling.profile import Interval
from vitctl.scaling.repeats_luck import grid, simulate, widened
from vitctl.scaling.solver import Objective, solve

_GRID = np.geomspace(0.05, 1e4, 45)
_ZOOMS, _INNER = 6, 9  # of searches in log r, each ten times as fine as the one before
_REPEATED = 1.5  # epochs from which a run says something of repetition


@dataclass(frozen=True)
class Foretold:
    """The runs above a budget, by laws of those up to it: root mean square errors."""

    below: float
    fitted: int
    predicted: int
    rmse: float | None
    rmse_without: float | None


@dataclass(frozen=True)
class Repeats:
    """The law with the term and without it, on the same runs (`index`).

    `worth` is r, infinite where repeating costs nothing that shows; `interval` is its, None on a
    side that nothing bounds: the profile, which takes the runs as given, widened for their choice.
    `gain` is by how much the term lowers AICc.
    """

    law: Law
    worth: float
    interval: Interval
    profile: Interval
    index: np.ndarray
    epochs: Floats
    scatter: float
    without: Fit
    gain: float | None
    foretold: tuple[Foretold, ...]


def share(epochs: Floats | float, worth: Floats | float) -> Floats:
    """n(e): the part of a run's compute that counts as spent on new images. One of the two is a
    number, or both have one shape."""
    again = np.maximum(np.asarray(epochs, np.float64) - 1.0, 0.0)
    with np.errstate(invalid="ignore"):  # where r is infinite
        more = np.where(np.isinf(worth), again, -worth * np.expm1(-again / worth))
    return (1.0 + more) / (1.0 + again)


def repeats(
    points: Points,
    *,
    form: Form,
    objective: Objective,
    bounds: Bounds,
    level: float,
    below: Sequence[float] = (),
    draws: int = 60,
    seed: int = 0,
    noise: float | None = None,
) -> Repeats | None:
    """The law with the term for repeated data; None where epochs are unknown, hardly any run
    repeats its data, or there are too few runs for one parameter more. `draws` tables are simulated
    for the interval; `noise` is the known standard deviation of one run's error."""
    if points.images is None or points.data_size is None:
        return None
    every = points.images / points.data_size
    index = data_frontier(points, np.ones(len(points), bool))
    x, y, epochs = points.compute[index], points.error[index], every[index]
    if np.sum(epochs > _REPEATED) < 3 or len(index) < len(FREE[form]) + 3:
        return None
    how = _How(form, objective, bounds)
    without = fit_law(x, y, form=form, objective=objective, bounds=bounds)
    worth, cost = _search(x, y, epochs, without, how)
    fit = _fit(x, y, epochs, worth, how)
    spare = len(index) - len(FREE[form]) - 1
    threshold = cost * (1 + float(fdtri(1, spare, level)) / spare) + 1e-24
    scatter = fit.scatter * math.sqrt((spare + 1) / spare)
    interval = _interval(x, y, epochs, fit, worth, threshold, without.cost <= threshold)
    log_worth = math.log(min(worth, _GRID[-1]))
    log_worths = grid(log_worth, interval)
    luck = simulate(
        points,
        share(every, worth),
        np.stack([share(every, math.exp(at)) for at in log_worths]),
        log_worths,
        fit,
        index,
        log_worth=log_worth,
        scatter=scatter,
        noise=noise,
        draws=draws,
        seed=seed,
    )
    _, with_term = information(cost, len(index), len(FREE[form]) + 1)
    gain = None if with_term is None or without.aicc is None else without.aicc - with_term
    return Repeats(
        law=fit.law,
        worth=worth,
        interval=widened(interval, luck, scatter=scatter, level=level),
        profile=interval,
        index=index,
        epochs=epochs,
        scatter=scatter,
        without=without,
        gain=gain,
        foretold=tuple(_foretell(points, every, budget, how) for budget in below),
    )


def data_frontier(points: Points, among: np.ndarray) -> np.ndarray:
    """The runs `among` [n] that no cheaper one of them on the same training set beats, by rising
    compute."""
    assert points.data_size is not None
    chosen = []
    for size in np.unique(points.data_size[among]):
        own = np.flatnonzero(among & (points.data_size == size))
        chosen.append(own[frontier(points.compute[own], points.error[own])])
    index = np.concatenate(chosen) if chosen else np.empty(0, np.intp)
    return index[np.argsort(points.compute[index], kind="stable")]


@dataclass(frozen=True)
class _How:
    form: Form
    objective: Objective
    bounds: Bounds


def _fit(x: Floats, y: Floats, epochs: Floats, worth: float, how: _How) -> Fit:
    counted = x * share(epochs, worth)
    return fit_law(counted, y, form=how.form, objective=how.objective, bounds=how.bounds)


def _costs(
    x: Floats,
    y: Floats,
    epochs: Floats,
    worth: Floats,
    near: Fit,
    *,
    around: tuple[float, ...] = (0.5, 1.0, 2.0),
) -> Floats:
    """The lowest cost of each r [m], from starts at a fit nearby and `around` it."""
    counted = np.stack([x * share(epochs, r) for r in worth]) / near.unit
    theta = near.theta
    starts = np.stack([theta * np.array([1.0, factor, 1.0, factor]) for factor in around])
    starts[:, 3] += np.where(starts[:, 3] > 0, 0.0, counted.min() / 3)
    lower, upper = near.bounds.arrays(near.form, largest_compute=float(x.max()), unit=near.unit)
    m, k = len(worth), len(starts)
    solution = solve(
        np.repeat(counted, k, axis=0),
        y,
        weight=np.ones(len(y)),
        initial=np.tile(starts, (m, 1)),
        lower=lower,
        upper=upper,
        objective=near.objective,
    )
    return solution.cost.reshape(m, k).min(1)


def _search(x: Floats, y: Floats, epochs: Floats, without: Fit, how: _How) -> tuple[float, float]:
    """The r of the lowest cost, and that cost: the best of a grid, then of ever finer ones about
    it."""
    values = np.append(_GRID, math.inf)
    costs = _costs(x, y, epochs, values, without)
    best = int(np.argmin(costs))
    if math.isinf(values[best]):
        return math.inf, float(without.cost)
    near = _fit(x, y, epochs, float(values[best]), how)
    low = math.log(values[max(best - 1, 0)])
    high = math.log(min(values[best + 1], 1e5))
    for _ in range(_ZOOMS):
        inner = np.linspace(low, high, _INNER + 2)
        costs = _costs(x, y, epochs, np.exp(inner), near, around=(1.0,))
        best = int(np.argmin(costs))
        low, high = inner[max(best - 1, 0)], inner[min(best + 1, _INNER + 1)]
    return math.exp(inner[best]), float(costs[best])


def _interval(
    x: Floats,
    y: Floats,
    epochs: Floats,
    fit: Fit,
    worth: float,
    threshold: float,
    without_will_do: bool,
) -> Interval:
    """The r next to the best one at which the cost passes the threshold, searched in log r between
    two that lie on either side, in ever finer steps; 0 where the smallest does not, None above
    where an infinite one does not."""

    def end(inside: float, outside: float) -> float:
        for _ in range(_ZOOMS):
            steps = np.linspace(inside, outside, _INNER + 2)
            costs = _costs(x, y, epochs, np.exp(steps[1:-1]), fit, around=(1.0,))
            passed = np.append(costs > threshold, True)
            first = int(np.argmax(passed))
            inside, outside = steps[first], steps[first + 1]
        return math.exp(inside)

    costs = _costs(x, y, epochs, _GRID, fit)
    least = _GRID[-1] if math.isinf(worth) else worth
    below = _GRID[(least > _GRID) & (costs > threshold)]
    above = _GRID[(least < _GRID) & (costs > threshold)]
    low = end(math.log(least), math.log(below[-1])) if len(below) else 0.0
    if without_will_do or math.isinf(worth):
        return low, None
    farthest = math.log(above[0]) if len(above) else math.log(1e6)
    return low, end(math.log(least), farthest)


def _foretell(points: Points, every: Floats, below: float, how: _How) -> Foretold:
    """Both laws of the best runs up to a budget, on the best runs above it."""
    early, late = (
        data_frontier(points, mask)
        for mask in (
            points.compute <= below,
            points.compute > below,
        )
    )
    # The best of the dear runs are those that no run at all, cheap ones included, beats.
    whole = data_frontier(points, np.ones(len(points), bool))
    late = np.intersect1d(late, whole)
    x, y, epochs = points.compute[early], points.error[early], every[early]
    nothing = Foretold(below, len(early), len(late), None, None)
    if len(early) < len(FREE[how.form]) + 3 or not len(late):
        return nothing
    without = fit_law(x, y, form=how.form, objective=how.objective, bounds=how.bounds)
    worth, _ = _search(x, y, epochs, without, how)
    law = _fit(x, y, epochs, worth, how).law

    def rmse(law: Law, counted: Floats) -> float:
        return float(np.sqrt(np.mean((points.error[late] - law.error(counted)) ** 2)))

    return Foretold(
        below=below,
        fitted=len(early),
        predicted=len(late),
        rmse=rmse(law, points.compute[late] * share(every[late], worth)),
        rmse_without=rmse(without.law, points.compute[late]),
    )
