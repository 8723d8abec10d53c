"""Fit one form of the law to the points of a frontier.

Least squares in error is the default: it is what reproduces the paper's coefficients. The cost has
flat valleys (c against b, d against a) and sometimes several minima, so the fit starts from a grid
over (b, d), and says how many starts ended on the minimum it returns.

The unit of compute does not matter: fits, intervals and simulations work in C / u, with u the
geometric mean of the fitted points' compute (`Fit.unit`, `Fit.theta`), where a and b are nearly
independent. Only `Fit.law` is in the user's unit. Bounds on `a` are in the user's unit, too, and
depend on b in any other; with them u is 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vitctl.scaling.laws import PARAMETERS, Floats, Law, jacobian, predict
from vitctl.scaling.names import FREE, Form, Parameter
from vitctl.scaling.solver import LEAST_SQUARES, Objective, residuals, solve

_START_B = (0.03, 0.1, 0.2, 0.35, 0.6, 1.0, 1.8)
_START_D = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)  # in units of the smallest compute
_SAME_MINIMUM = 1e-6  # relative difference of costs that counts as the same minimum


@dataclass(frozen=True)
class Bounds:
    """Closed intervals the parameters are kept in; None: no bound on that side.

    Of error rates, which are fractions, the floor `c` lies in 0..1. An exponent past 5 is a curve
    that falls faster than any power law in the literature: the data then show no law to speak of.
    """

    a: tuple[float | None, float | None] = (None, None)
    b: tuple[float | None, float | None] = (0.0, 5.0)
    c: tuple[float | None, float | None] = (0.0, 1.0)
    d: tuple[float | None, float | None] = (0.0, None)

    def arrays(
        self, form: Form, *, largest_compute: float, unit: float = 1.0
    ) -> tuple[Floats, Floats]:
        """Lower and upper [4] for (log a, b, c, d) of compute divided by `unit`; what the form
        leaves out is held at 0. `largest_compute` is in the user's unit."""
        low_a, high_a = self.a
        lower = [math.log(low_a) if low_a else -600.0, *(x[0] or 0.0 for x in self._others())]
        upper = [
            math.log(high_a) if high_a is not None else 600.0,
            5.0 if self.b[1] is None else self.b[1],
            math.inf if self.c[1] is None else self.c[1],
            # Past the largest compute a shift is a different curve, not the end of this one.
            largest_compute if self.d[1] is None else self.d[1],
        ]
        lower[3], upper[3] = lower[3] / unit, upper[3] / unit
        for i, name in enumerate(PARAMETERS):
            if name not in FREE[form]:
                lower[i] = upper[i] = 0.0
        return np.array(lower), np.array(upper)

    def unit(self, compute: Floats) -> float:
        """What compute [n] is divided by: its geometric mean, or 1 where `a` has bounds."""
        if self.a != (None, None):
            return 1.0
        return math.exp(float(np.mean(np.log(compute))))

    def _others(self) -> tuple[tuple[float | None, float | None], ...]:
        return self.b, self.c, self.d


USUAL_BOUNDS = Bounds()


@dataclass(frozen=True)
class Fit:
    """A fitted law and how well it is pinned down. `theta` is (log a, b, c, d) of compute divided
    by `unit`, `law` the same in the user's unit."""

    theta: Floats = field(repr=False)
    unit: float
    form: Form
    objective: Objective
    bounds: Bounds
    points: int
    cost: float
    deviation: float  # residual standard deviation in the objective's space, n - k freedoms
    scatter: float  # the same in error, whatever the space
    aic: float
    aicc: float | None  # None where there are too few points for the correction
    starts: int
    starts_at_minimum: int
    at_bound: tuple[Parameter, ...]
    correlation: dict[Parameter, dict[Parameter, float | None]] = field(repr=False)

    @property
    def law(self) -> Law:
        return Law.from_theta(self.theta, unit=self.unit)

    @property
    def free(self) -> tuple[Parameter, ...]:
        return FREE[self.form]

    @property
    def degrees_of_freedom(self) -> int:
        return self.points - len(self.free)


def fit_law(
    compute: Floats,
    error: Floats,
    *,
    form: Form = "saturating",
    objective: Objective = LEAST_SQUARES,
    bounds: Bounds = USUAL_BOUNDS,
) -> Fit:
    """Fit `form` to points [n] of compute > 0 and error, a fraction or a loss.

    Raises ValueError with fewer than one point more than parameters: such a curve passes through
    every point and says nothing about the next one.
    """
    (fit,) = fit_laws([LawTask(compute, error, form)], objective=objective, bounds=bounds)
    return fit


@dataclass(frozen=True)
class LawTask:
    """Points [n] to fit, and the form."""

    compute: Floats
    error: Floats
    form: Form


def enough_points(points: int, form: Form) -> bool:
    """Whether `form` can be fitted to so many points."""
    return points >= len(FREE[form]) + 1


def fit_laws(
    tasks: Sequence[LawTask],
    *,
    objective: Objective = LEAST_SQUARES,
    bounds: Bounds = USUAL_BOUNDS,
) -> list[Fit]:
    """`fit_law` of each task. All starts of all tasks are one batch, which costs hardly more than
    those of one."""
    problems = [_StartedTask.of(task, bounds) for task in tasks]
    if not problems:
        return []
    longest = max(len(task.error) for task in tasks)
    count = [len(problem.initial) for problem in problems]

    def each(rows: Iterable[Floats]) -> Floats:
        return np.repeat(np.stack(list(rows)), count, axis=0)

    def padded(values: Floats, **how: Any) -> Floats:
        return np.pad(values, (0, longest - len(values)), **how)

    solution = solve(
        each(padded(problem.compute, mode="edge") for problem in problems),
        each(padded(task.error, mode="edge") for task in tasks),
        weight=each(padded(np.ones(len(task.error))) for task in tasks),
        initial=np.concatenate([problem.initial for problem in problems]),
        lower=each(problem.lower for problem in problems),
        upper=each(problem.upper for problem in problems),
        objective=objective,
    )
    splits = np.cumsum(count)[:-1]
    results = zip(np.split(solution.theta, splits), np.split(solution.cost, splits), strict=True)
    return [
        problem.fit(theta, cost, objective=objective, bounds=bounds)
        for problem, (theta, cost) in zip(problems, results, strict=True)
    ]


@dataclass(frozen=True)
class _StartedTask:
    """A task in its unit: compute [n], starts [s, 4] and bounds [4]."""

    task: LawTask
    unit: float
    compute: Floats
    initial: Floats
    lower: Floats
    upper: Floats

    @staticmethod
    def of(task: LawTask, bounds: Bounds) -> _StartedTask:
        n, k = len(task.compute), len(FREE[task.form])
        if not enough_points(n, task.form):
            raise ValueError(
                f"{task.form} has {k} parameters and needs {k + 1} points or more, got {n}"
            )
        unit = bounds.unit(task.compute)
        largest = float(task.compute.max())
        lower, upper = bounds.arrays(task.form, largest_compute=largest, unit=unit)
        x = task.compute / unit
        initial = starts(x, task.error, weight=np.ones(n), lower=lower, upper=upper)
        return _StartedTask(task, unit, x, initial, lower, upper)

    def fit(self, theta: Floats, cost: Floats, *, objective: Objective, bounds: Bounds) -> Fit:
        """The best of the solutions theta [s, 4] with cost [s]."""
        form, x, error = self.task.form, self.compute, self.task.error
        n, k = len(x), len(FREE[form])
        best = int(np.argmin(cost))
        at, lowest = theta[best], float(cost[best])
        at_bound = tuple(
            name
            for i, name in enumerate(PARAMETERS)
            if name in FREE[form] and (at[i] <= self.lower[i] or at[i] >= self.upper[i])
        )
        aic, aicc = information(lowest, n, k)
        return Fit(
            theta=at,
            unit=self.unit,
            form=form,
            objective=objective,
            bounds=bounds,
            points=n,
            cost=lowest,
            deviation=math.sqrt(2 * lowest / (n - k)),
            scatter=math.sqrt(float(np.sum((predict(at, x) - error) ** 2)) / (n - k)),
            aic=aic,
            aicc=aicc,
            starts=len(theta),
            starts_at_minimum=int(np.sum(cost <= lowest * (1 + _SAME_MINIMUM) + 1e-18)),
            at_bound=at_bound,
            correlation=_correlation(
                at, x, unit=self.unit, form=form, objective=objective, held=at_bound
            ),
        )


def information(cost: float, n: int, k: int) -> tuple[float, float | None]:
    """AIC and AICc of k parameters fitted to n points; None where they are too few for the
    correction."""
    # A perfect fit has no scatter; the floor keeps its logarithm finite.
    mean_square = max(2 * cost / n, 1e-30)
    parameters = k + 1  # the scatter is estimated too
    aic = n * math.log(mean_square) + 2 * parameters
    spare = n - parameters - 1
    return aic, aic + 2 * parameters * (parameters + 1) / spare if spare > 0 else None


def starts(
    compute: Floats, error: Floats, *, weight: Floats, lower: Floats, upper: Floats
) -> Floats:
    """Starting points [s, 4]: a grid over (b, d), each with its best (a, c) in error space."""
    b, d = (x.ravel() for x in np.meshgrid(_START_B, np.array(_START_D) * compute.min()))
    b = np.unique(np.clip(np.stack([b, d], -1), lower[[1, 3]], upper[[1, 3]]), axis=0)
    b, d = b[:, 0], b[:, 1]
    shape = (compute + d[:, None]) ** -b[:, None]  # [s, n]
    total, mean_error = weight.sum(), np.average(error, weights=weight)
    mean_shape = (shape @ weight) / total
    spread = ((shape - mean_shape[:, None]) ** 2) @ weight
    slope = ((shape - mean_shape[:, None]) * (error - mean_error)) @ weight
    a = slope / np.maximum(spread, 1e-300)
    c = np.clip(mean_error - a * mean_shape, lower[2], upper[2])
    # With c moved to its bound, a is refitted; a falling curve needs it positive.
    a = ((error - c[:, None]) * shape) @ weight / np.maximum(shape**2 @ weight, 1e-300)
    log_a = np.log(np.maximum(a, 1e-12 / np.maximum(mean_shape, 1e-300)))
    return np.clip(np.stack([log_a, b, c, d], -1), lower, upper)


def standardised(fit: Fit, compute: Floats, error: Floats) -> Floats:
    """Measured minus law [n] of any points, in the fit's own space and units of its deviation."""
    r = -residuals(fit.theta, compute / fit.unit, error, objective=fit.objective)
    return r / max(fit.deviation, 1e-15)


def _correlation(
    theta: Floats,
    compute: Floats,
    *,
    unit: float,
    form: Form,
    objective: Objective,
    held: tuple[Parameter, ...],
) -> dict[Parameter, dict[Parameter, float | None]]:
    """Correlations of the estimates, in the user's unit, from the curvature at the minimum, theta
    and compute being divided by `unit`.

    A parameter resting on its bound has none (None).
    """
    slope = jacobian(theta, compute)
    if objective.space == "log":
        slope = slope / predict(theta, compute)[:, None]
    names = [name for name in FREE[form] if name not in held]
    columns = slope[:, [PARAMETERS.index(name) for name in names]]
    size = np.linalg.norm(columns, axis=0)
    scaled = columns / np.where(size > 0, size, 1.0)
    covariance = np.linalg.pinv(scaled.T @ scaled, rcond=1e-14)
    if "a" in names and "b" in names:
        # log a in the user's unit is log a here plus b log u.
        turn = np.eye(len(names))
        i, j = names.index("a"), names.index("b")
        turn[i, j] = np.log(unit) * size[i] / max(size[j], 1e-300)
        covariance = turn @ covariance @ turn.T
    deviation = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    matrix = np.clip(covariance / np.outer(deviation, deviation), -1, 1)
    out: dict[Parameter, dict[Parameter, float | None]] = {}
    for p in FREE[form]:
        out[p] = {
            q: float(matrix[names.index(p), names.index(q)]) if p in names and q in names else None
            for q in FREE[form]
        }
    return out
