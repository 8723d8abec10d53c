"""Refits of drawn tables: intervals of the parameters and of anything computed from them.

`rows` draws the runs themselves with replacement, so the choice of the frontier varies with them;
`seeds` draws cells of repeated runs, and of each drawn cell its seeds; `residuals` keeps the
frontier's compute and draws its residuals, for tables with few runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vitctl.scaling.fit import Fit
from vitctl.scaling.frontier import frontier, frontier_masks
from vitctl.scaling.laws import PARAMETERS, SMALLEST_ERROR, Floats, amplitude, in_unit, predict
from vitctl.scaling.names import FrontierRule, Parameter, Resampling
from vitctl.scaling.profile import Interval
from vitctl.scaling.seeds import redraw
from vitctl.scaling.solver import solve

_CELLS = 4_000_000  # of one array: 32 MB


@dataclass(frozen=True)
class Refits:
    """Refits of drawn tables: theta [draws, 4] of compute divided by `unit`; `failed` draws had
    too few points to fit."""

    theta: Floats
    unit: float
    failed: int
    resampling: Resampling

    @property
    def usable(self) -> bool:
        """Whether most draws could be fitted; the others are missing for a reason."""
        return len(self.theta) > self.failed

    def interval(self, name: Parameter, *, level: float) -> Interval:
        """Percentile interval of one parameter."""
        if not self.usable:
            return None, None
        column = in_unit(self.theta, 1 / self.unit)[:, PARAMETERS.index(name)]
        # The exponential of percentiles, which may lie where no number does.
        low, high = percentiles(column, level=level)
        if name == "a" and low is not None and high is not None:
            return amplitude(low), amplitude(high)
        return low, high

    def errors(self, compute: Floats) -> Floats:
        """The drawn laws' errors [draws, n] at compute [n] in the user's unit."""
        return predict(self.theta, compute / self.unit)

    def error_interval(self, compute: float, *, level: float) -> Interval:
        """Percentile interval of the law's error at one compute."""
        if not self.usable:
            return None, None
        return percentiles(self.errors(np.array([compute]))[:, 0], level=level)


def percentiles(values: Floats, *, level: float) -> Interval:
    """The middle `level` of drawn values; unknown on both sides without any."""
    if not len(values):
        return None, None
    tail = 50 * (1 - level)
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)


def bootstrap(
    fit: Fit,
    compute: Floats,
    error: Floats,
    *,
    rule: FrontierRule,
    draws: int,
    seed: int,
    resampling: Resampling = "rows",
    by_seed: Sequence[Floats] | None = None,
) -> Refits:
    """Refit the law to `draws` tables made from the whole table [n]; `by_seed` are the errors of
    each point's runs, which `seeds` draws from."""
    rng = np.random.default_rng(seed)
    chosen = frontier(compute, error, rule=rule)
    thetas, failed = [], 0
    for block in blocks(draws, len(compute)):
        if resampling != "residuals":
            axis = compute
            by = by_seed if resampling == "seeds" else None
            drawn, present = draw_tables(error, draws=block, rng=rng, by_seed=by)
            weight = frontier_masks(compute, drawn, present, rule=rule).astype(np.float64)
        else:
            axis = compute[chosen]
            drawn = _draw_residuals(fit, axis, error[chosen], draws=block, rng=rng)
            weight = np.ones_like(drawn)
        enough = weight.sum(1) >= len(fit.free) + 1
        failed += int(block - enough.sum())
        thetas.append(refit(fit, axis, drawn[enough], weight[enough]))
    return Refits(theta=np.concatenate(thetas), unit=fit.unit, failed=failed, resampling=resampling)


def blocks(draws: int, n: int) -> Iterator[int]:
    """`draws` in parts whose arrays [part, n] stay small, however long the table."""
    size = max(1, _CELLS // n)
    for begin in range(0, draws, size):
        yield min(size, draws - begin)


def refit(fit: Fit, compute: Floats, error: Floats, weight: Floats) -> Floats:
    """theta [draws, 4], in the fit's unit, of tables with errors and weights [draws, n], each the
    best of three starts: the fit, and a shallower and a steeper curve through its middle."""
    (theta,) = refit_each([DrawnTables(fit, compute, error, weight)])
    return theta


@dataclass(frozen=True)
class DrawnTables:
    """Tables to refit a law to: compute [n], errors and weights [draws, n]."""

    fit: Fit
    compute: Floats
    error: Floats
    weight: Floats


def refit_each(tasks: Sequence[DrawnTables]) -> list[Floats]:
    """`refit` of each, in one batch. All have as many draws, and fits of one objective."""
    draws = len(tasks[0].error)
    if not draws:
        return [np.empty((0, 4)) for _ in tasks]
    columns = [_packed(one.weight) for one in tasks]
    longest = max(axis.shape[1] for axis in columns)
    parts: list[list[Floats]] = [[] for _ in range(6)]
    for one, axis in zip(tasks, columns, strict=True):
        largest = float(one.compute.max())
        bounds = one.fit.bounds.arrays(one.fit.form, largest_compute=largest, unit=one.fit.unit)
        compute = one.compute / one.fit.unit
        starts = _neighbours(one.fit.theta, compute, *bounds)
        room = (0, 0), (0, longest - axis.shape[1])
        tables = [
            np.take_along_axis(values, axis, axis=1)
            for values in (np.broadcast_to(compute, one.error.shape), one.error, one.weight)
        ]
        # What is added weighs nothing.
        padded = [np.pad(values, room, mode="edge") for values in tables[:2]]
        padded.append(np.pad(tables[2], room))
        for part, table in zip(parts, padded, strict=False):
            part.append(np.tile(table, (len(starts), 1)))
        parts[3].append(np.repeat(starts, draws, axis=0))
        for part, bound in zip(parts[4:], bounds, strict=True):
            part.append(np.tile(bound, (len(starts) * draws, 1)))
    compute, error, weight, initial, lower, upper = (np.concatenate(part) for part in parts)
    solution = solve(
        compute,
        error,
        weight=weight,
        initial=initial,
        lower=lower,
        upper=upper,
        objective=tasks[0].fit.objective,
    )
    cost = solution.cost.reshape(len(tasks), -1, draws)
    theta = solution.theta.reshape(len(tasks), -1, draws, 4)
    best = np.argmin(cost, axis=1)
    return [theta[i, best[i], np.arange(draws)] for i in range(len(tasks))]


def _packed(weight: Floats) -> np.ndarray:
    """Column numbers [draws, m] of each draw's points, those that weigh something first: a
    frontier is a small part of its table."""
    used = int(np.count_nonzero(weight, axis=1).max(initial=1))
    return np.argsort(weight == 0, axis=1, kind="stable")[:, :used]


def draw_tables(
    error: Floats,
    *,
    draws: int,
    rng: np.random.Generator,
    by_seed: Sequence[Floats] | None = None,
) -> tuple[Floats, np.ndarray]:
    """Errors [draws, n] of drawn tables, and which points each of them has. With `by_seed` the
    errors are averages of drawn seeds, else those measured."""
    n = len(error)
    present = np.zeros((draws, n), bool)
    present[np.arange(draws)[:, None], rng.integers(0, n, (draws, n))] = True
    if by_seed is None:
        return np.broadcast_to(error, (draws, n)), present
    return redraw(by_seed, draws=draws, rng=rng), present


def _draw_residuals(
    fit: Fit, compute: Floats, error: Floats, *, draws: int, rng: np.random.Generator
) -> Floats:
    """Law plus drawn residuals [draws, n], widened by sqrt(n / (n - k)) for the k fitted away."""
    law = fit.law.error(compute)
    logarithmic = fit.objective.space == "log"
    r = np.log(error / law) if logarithmic else error - law
    r = (r - r.mean()) * math.sqrt(len(r) / fit.degrees_of_freedom)
    picked = r[rng.integers(0, len(r), (draws, len(r)))]
    return law * np.exp(picked) if logarithmic else np.maximum(law + picked, SMALLEST_ERROR)


def _neighbours(centre: Floats, compute: Floats, lower: Floats, upper: Floats) -> Floats:
    middle = math.exp(float(np.mean(np.log(compute))))
    out = [centre]
    for factor in (0.5, 2.0):
        theta = centre * np.array([1.0, factor, 1.0, factor])
        # Same excess error at the middle of the compute range.
        excess = centre[0] - centre[1] * math.log(middle + centre[3])
        theta[0] = excess + theta[1] * math.log(middle + theta[3])
        out.append(np.clip(theta, lower, upper))
    return np.stack(out)
