"""Is the two-sided law worth its four parameters? Compared by AIC and by extrapolation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vitctl.scaling.fit import Bounds, Fit, LawTask, enough_points, fit_laws
from vitctl.scaling.frontier import frontier
from vitctl.scaling.laws import Floats
from vitctl.scaling.names import FREE, Form, FrontierRule
from vitctl.scaling.solver import Objective

_HELD_OUT = 3  # runs of the frontier, one in so many, where a table has no usual budgets


@dataclass(frozen=True)
class ComparedForm:
    """One form's fit, and how much worse it is than the best by AICc (the small-sample AIC).

    `weight` is the Akaike weight, the share of belief among the forms that could be fitted.
    """

    form: Form
    fit: Fit | None  # None: too few points
    delta_aicc: float | None
    weight: float | None


@dataclass(frozen=True)
class Forecast:
    """A form fitted below a budget, scored on the frontier above it (errors as fractions); all
    None with too few runs below, scores None with none above.

    `bias` is the mean of measured minus predicted: positive means the form promised too much.
    """

    form: Form
    fit: Fit | None
    rmse: float | None
    bias: float | None


@dataclass(frozen=True)
class Extrapolation:
    """All forms fitted on the frontier of runs up to `below`, scored on the points above."""

    below: float
    fitted: int
    predicted: int
    forecasts: tuple[Forecast, ...]


def compare_forms(
    compute: Floats, error: Floats, *, objective: Objective, bounds: Bounds
) -> tuple[ComparedForm, ...]:
    """Every form on the same frontier [n], best AICc first."""
    (fits,) = _every_form([(compute, error)], objective, bounds)
    scores = {form: fit.aicc for form, fit in fits.items() if fit and fit.aicc is not None}
    best = min(scores.values(), default=None)
    total = 1.0
    if best is not None:
        total = sum(math.exp(-0.5 * (score - best)) for score in scores.values())
    variants = []
    for form, fit in fits.items():
        delta = scores[form] - best if form in scores and best is not None else None
        weight = None if delta is None else math.exp(-0.5 * delta) / total
        variants.append(ComparedForm(form=form, fit=fit, delta_aicc=delta, weight=weight))
    return tuple(sorted(variants, key=lambda v: math.inf if v.delta_aicc is None else v.delta_aicc))


def extrapolate(
    compute: Floats,
    error: Floats,
    *,
    below: Sequence[float],
    rule: FrontierRule,
    objective: Objective,
    bounds: Bounds,
) -> tuple[Extrapolation, ...]:
    """For each budget fit what was known up to it, predict the frontier above it.

    The frontier below is taken anew from the runs below, as someone at that time would have.
    """
    whole = frontier(compute, error, rule=rule)
    folds = []
    for budget in below:
        known = np.flatnonzero(compute <= budget)
        fitted = known[frontier(compute[known], error[known], rule=rule)] if len(known) else known
        folds.append((budget, fitted, whole[compute[whole] > budget]))
    every = _every_form([(compute[i], error[i]) for _, i, _ in folds], objective, bounds)
    return tuple(
        Extrapolation(
            below=budget,
            fitted=len(fitted),
            predicted=len(later),
            forecasts=tuple(
                _forecast(form, fit, compute[later], error[later]) for form, fit in fits.items()
            ),
        )
        for (budget, fitted, later), fits in zip(folds, every, strict=True)
    )


def _forecast(form: Form, fit: Fit | None, compute: Floats, error: Floats) -> Forecast:
    if fit is None or not len(error):
        return Forecast(form=form, fit=fit, rmse=None, bias=None)
    missed = error - fit.law.error(compute)
    rmse = float(np.sqrt(np.mean(missed**2)))
    return Forecast(form=form, fit=fit, rmse=rmse, bias=float(missed.mean()))


def default_budgets(compute: Floats) -> tuple[float, ...]:
    """A tenth and a hundredth of the largest compute, where runs lie on both sides."""
    largest, smallest = float(compute.max()), float(compute.min())
    return tuple(largest / factor for factor in (10.0, 100.0) if largest / factor > 4 * smallest)


def budgets_of(compute: Floats, error: Floats, *, rule: FrontierRule) -> tuple[float, ...]:
    """`default_budgets`; where none of them leaves runs enough to fit every form, the compute above
    which the dearest third of the frontier lies, if that does."""
    usual = default_budgets(compute)
    most = max(len(FREE[form]) for form in FREE) + 1
    if any(
        np.sum(compute <= budget) and _frontier_size(compute, error, budget, rule) >= most
        for budget in usual
    ):
        return usual
    chosen = frontier(compute, error, rule=rule)
    values = np.unique(compute[chosen])
    held = max(1, len(values) // _HELD_OUT)
    if len(values) - held < most:
        return usual
    return (*usual, float(values[-held - 1]))


def _frontier_size(compute: Floats, error: Floats, budget: float, rule: FrontierRule) -> int:
    known = compute <= budget
    return len(frontier(compute[known], error[known], rule=rule))


def _every_form(
    tables: Sequence[tuple[Floats, Floats]], objective: Objective, bounds: Bounds
) -> list[dict[Form, Fit | None]]:
    """Every form fitted to each table of compute and error; None where it has too few points."""
    pairs = [
        (i, form)
        for i, (compute, _) in enumerate(tables)
        for form in FREE
        if enough_points(len(compute), form)
    ]
    tasks = [LawTask(*tables[i], form) for i, form in pairs]
    fits = dict(zip(pairs, fit_laws(tasks, objective=objective, bounds=bounds), strict=True))
    return [{form: fits.get((i, form)) for form in FREE} for i in range(len(tables))]
