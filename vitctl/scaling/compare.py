"""Is the two-sided law worth its four parameters? Compared by AIC and by extrapolation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vitctl.scaling.fit import Bounds, Fit, fit_law
from vitctl.scaling.frontier import frontier
from vitctl.scaling.laws import FREE, Floats
from vitctl.scaling.names import Form, FrontierRule
from vitctl.scaling.solver import Objective


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
    """A form fitted below a budget, scored on the frontier above it (errors as fractions).

    `bias` is the mean of measured minus predicted: positive means the form promised too much.
    """

    form: Form
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
    fits = {form: _try(compute, error, form, objective, bounds) for form in FREE}
    scores = {form: fit.aicc for form, fit in fits.items() if fit and fit.aicc is not None}
    best = min(scores.values(), default=None)
    total = sum(math.exp(-0.5 * (score - best)) for score in scores.values()) if best else 1.0
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
    below: float,
    rule: FrontierRule,
    objective: Objective,
    bounds: Bounds,
) -> Extrapolation:
    """Fit what was known up to a budget, predict the frontier above it.

    The frontier below is taken anew from the runs below, as someone at that time would have.
    """
    known = np.flatnonzero(compute <= below)
    fitted = known[frontier(compute[known], error[known], rule=rule)] if len(known) else known
    whole = frontier(compute, error, rule=rule)
    later = whole[compute[whole] > below]
    forecasts = []
    for form in FREE:
        fit = _try(compute[fitted], error[fitted], form, objective, bounds)
        if fit is None or not len(later):
            forecasts.append(Forecast(form=form, rmse=None, bias=None))
            continue
        missed = error[later] - fit.law.error(compute[later])
        rmse = float(np.sqrt(np.mean(missed**2)))
        forecasts.append(Forecast(form=form, rmse=rmse, bias=float(missed.mean())))
    return Extrapolation(
        below=below, fitted=len(fitted), predicted=len(later), forecasts=tuple(forecasts)
    )


@dataclass(frozen=True)
class Score:
    """A form's root mean square error over `predicted` points of all extrapolations together."""

    form: Form
    rmse: float
    predicted: int


def scores(extrapolations: Sequence[Extrapolation]) -> tuple[Score, ...]:
    """The forms that could be fitted in every extrapolation that predicts anything, the best
    first."""
    predicted = [one for one in extrapolations if one.predicted]
    out = []
    for form in FREE if predicted else ():
        squares = [
            one.predicted * forecast.rmse**2
            for one in predicted
            for forecast in one.forecasts
            if forecast.form == form and forecast.rmse is not None
        ]
        total = sum(one.predicted for one in predicted)
        if len(squares) == len(predicted):
            out.append(Score(form=form, rmse=math.sqrt(sum(squares) / total), predicted=total))
    return tuple(sorted(out, key=lambda score: score.rmse))


def default_budgets(compute: Floats) -> tuple[float, ...]:
    """A tenth and a hundredth of the largest compute, where runs lie on both sides."""
    largest, smallest = float(compute.max()), float(compute.min())
    return tuple(largest / factor for factor in (10.0, 100.0) if largest / factor > 4 * smallest)


def _try(
    compute: Floats, error: Floats, form: Form, objective: Objective, bounds: Bounds
) -> Fit | None:
    if len(compute) < len(FREE[form]) + 1:
        return None
    return fit_law(compute, error, form=form, objective=objective, bounds=bounds)
