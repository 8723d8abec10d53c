"""What to train next: the compute-optimal model and duration for a budget.

Two readings of the same table, as the budget lies inside or beyond it:

- between measurements, each model's own curve over compute is read at the budget and the lowest
  wins; redrawing the curves with their noise says how sure that is;
- beyond, the trend of the frontier: its runs' images grow as a power of compute, a straight line
  in log-log. The model is what the compute leaves for each image, named by the nearest one in the
  table.

The duration's interval spans what the redrawn curves chose and one new run about the trend: near
the optimum the error is flat, so durations a factor apart do equally well. The error to expect is
the law's at the budget; its interval spans the bootstrap and the law behind lucky runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import stdtrit

from vitctl.scaling.bootstrap import Refits, percentiles
from vitctl.scaling.curves import Curve, curves, error_at, redraw
from vitctl.scaling.fit import Fit
from vitctl.scaling.laws import Law
from vitctl.scaling.points import Points
from vitctl.scaling.profile import Interval


@dataclass(frozen=True)
class CandidateModel:
    """A model's own error at the budget, and how often its redrawn curve was the lowest."""

    model: str
    error: float
    share: float


@dataclass(frozen=True)
class Trend:
    """images = scale * compute^exponent along the frontier."""

    exponent: float
    exponent_interval: Interval
    log_scale: float


@dataclass(frozen=True)
class Allocation:
    """The answer for one budget. `how` says which reading it is; None where neither can be made,
    with the reason. `cost_per_image` is the compute one image may take; `size_factor` is that in
    units of `model`, the nearest in the table."""

    budget: float
    error: float
    error_interval: Interval
    how: Literal["between runs", "trend of the frontier"] | None
    model: str | None
    size_factor: float | None
    images: float | None
    images_interval: Interval
    cost_per_image: float | None
    candidates: tuple[CandidateModel, ...]
    trend: Trend | None
    reason: str | None


def allocate(
    points: Points,
    fit: Fit,
    frontier: np.ndarray,
    *,
    budget: float,
    drawn: Refits,
    unlucky_law: Law | None = None,
    draws: int,
    seed: int,
    level: float = 0.95,
    noise: float | None = None,
) -> Allocation:
    """The model and duration for `budget`, in the table's unit of compute."""
    error = float(fit.law.error(budget))
    unlucky = error if unlucky_law is None else float(unlucky_law.error(budget))
    error_interval = _hull(drawn.error_interval(budget, level=level), (unlucky, unlucky))

    def answer(**known: object) -> Allocation:
        nothing = dict.fromkeys(("how", "model", "size_factor", "images", "cost_per_image"))
        blank = nothing | {"images_interval": (None, None), "candidates": (), "reason": None}
        blank |= {"trend": None}
        return Allocation(budget, error, error_interval, **(blank | known))  # type: ignore[arg-type]

    if points.model is None or points.images is None:
        missing = "models" if points.model is None else "images seen"
        return answer(reason=f"the table has no {missing}, so only the error can be told")
    if len(points.models) < 2:
        return answer(reason="with one model only there is no choice of model to make")
    trend = _trend(points, frontier, budget=budget, level=level)
    of_models = curves(points, points.models, over=points.compute, noise=noise)
    if any(error_at(one, math.log(budget)) is not None for one in of_models):
        chosen = _between(points, of_models, budget=budget, draws=draws, seed=seed, level=level)
        if trend is not None:
            chosen["images_interval"] = _hull(chosen["images_interval"], trend[2])
        return answer(how="between runs", trend=trend and trend[0], **chosen)
    if trend is None:
        return answer(reason="too few runs on the frontier for a trend beyond them")
    line, images, interval = trend
    cost = budget / images
    costs = {name: points.cost_per_image(name) for name in points.models}
    nearest = min(costs, key=lambda name: abs(math.log(costs[name] / cost)))
    return answer(
        how="trend of the frontier",
        model=nearest,
        size_factor=cost / costs[nearest],
        images=images,
        images_interval=interval,
        cost_per_image=cost,
        trend=line,
    )


def _between(
    points: Points, of_models: list[Curve], *, budget: float, draws: int, seed: int, level: float
) -> dict[str, Any]:
    at = math.log(budget)
    covering = [one for one in of_models if error_at(one, at) is not None]
    rng = np.random.default_rng(seed)
    errors = np.full((len(covering), draws), np.inf)
    for i, one in enumerate(covering):
        for j, again in enumerate(redraw(one, draws=draws, rng=rng)):
            # A redrawn envelope may end before the budget; it is flat from there on.
            errors[i, j] = np.interp(at, again.log_x, again.error)
    winner = np.argmin(errors, axis=0)
    candidates = sorted(
        (
            CandidateModel(one.name, error_at(one, at) or 0.0, float(np.mean(winner == i)))
            for i, one in enumerate(covering)
        ),
        key=lambda candidate: candidate.error,
    )
    durations = np.array([budget / points.cost_per_image(one.name) for one in covering])
    best = candidates[0].model
    known = all(one.noise is not None for one in covering)
    cost = points.cost_per_image(best)
    return {
        "model": best,
        "size_factor": 1.0,
        "images": budget / cost,
        "images_interval": percentiles(durations[winner], level=level) if known else (None, None),
        "cost_per_image": cost,
        "candidates": tuple(candidates),
        "reason": None if known else "no interval: a model has too few runs to know its noise",
    }


def _hull(one: Interval, other: Interval) -> Interval:
    """The smallest interval that holds both; unknown where one is."""
    (low, high), (lower, higher) = one, other
    return (
        None if low is None or lower is None else min(low, lower),
        None if high is None or higher is None else max(high, higher),
    )


def _trend(
    points: Points, frontier: np.ndarray, *, budget: float, level: float
) -> tuple[Trend, float, Interval] | None:
    """The line through log images over log compute on the frontier, and its value at `budget`
    with the prediction interval of one new run."""
    assert points.images is not None
    x, y = np.log(points.compute[frontier]), np.log(points.images[frontier])
    n, freedom = len(x), len(x) - 2
    spread = float(np.sum((x - x.mean()) ** 2))
    if freedom < 1 or spread == 0:
        return None
    slope = float(np.sum((x - x.mean()) * (y - y.mean())) / spread)
    missed = y - y.mean() - slope * (x - x.mean())
    sigma = math.sqrt(float(missed @ missed) / freedom)
    t = float(stdtrit(freedom, 0.5 + level / 2))
    away = math.log(budget) - float(x.mean())
    middle = float(y.mean()) + slope * away
    half = t * sigma * math.sqrt(1 + 1 / n + away**2 / spread)
    width = t * sigma / math.sqrt(spread)
    line = Trend(slope, (slope - width, slope + width), float(y.mean() - slope * x.mean()))
    return line, math.exp(middle), (math.exp(middle - half), math.exp(middle + half))
