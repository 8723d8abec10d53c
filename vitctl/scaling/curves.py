"""One model's learning curve, its noise, and what follows from two of them.

A curve is the lower envelope of a model's runs over images (or compute): at each length the best
training set. Between measurements it is read off log-linearly; beyond them it is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vitctl.scaling.fit import LawTask, fit_laws
from vitctl.scaling.frontier import frontier
from vitctl.scaling.laws import Floats
from vitctl.scaling.names import FREE
from vitctl.scaling.points import Points


@dataclass(frozen=True)
class Curve:
    """Falling errors [n] over a growing axis [n] (as logarithms), and the standard deviation of
    one measured error; None with too few points. `freedom` is what that deviation was
    estimated with, None if it is known."""

    name: str
    log_x: Floats
    error: Floats
    noise: float | None
    freedom: int | None


def curves(
    points: Points, models: Sequence[str], *, over: Floats, noise: float | None = None
) -> list[Curve]:
    """The envelope of each model's runs over `over` [n], images or compute of every point.

    The noise, unless given, is the scatter about the law fitted to the envelope, which counts
    the misfit of the law as noise too.
    """
    assert points.model is not None
    out, tasks = [], {}
    for number, model in enumerate(models):
        own = np.flatnonzero(points.model == model)
        own = own[frontier(over[own], points.error[own])]
        x, error = over[own], points.error[own]
        if noise is None and len(own) >= len(FREE["saturating"]) + 2:
            tasks[number] = LawTask(x, error, "saturating")
        out.append(Curve(name=model, log_x=np.log(x), error=error, noise=noise, freedom=None))
    for number, fit in zip(tasks, fit_laws(list(tasks.values())), strict=True):
        out[number] = replace(out[number], noise=fit.scatter, freedom=fit.degrees_of_freedom)
    return out


def redraw(one: Curve, *, draws: int, rng: np.random.Generator) -> list[Curve]:
    """The curve as it might have been measured: its errors with noise, its envelope again.

    An estimated noise is itself drawn, from sigma^2 freedom / chi^2, so that few points make wide
    intervals, as Student's t does.
    """
    sigma = np.full((draws, 1), one.noise or 0.0)
    if one.freedom is not None:
        sigma *= np.sqrt(one.freedom / rng.chisquare(one.freedom, (draws, 1)))
    errors = one.error + sigma * rng.standard_normal((draws, len(one.error)))
    falls = np.ones(errors.shape, bool)
    falls[:, 1:] = errors[:, 1:] < np.minimum.accumulate(errors, axis=1)[:, :-1]
    return [
        Curve(one.name, one.log_x[at], row[at], one.noise, one.freedom)
        for row, at in zip(errors, falls, strict=True)
    ]


def error_at(one: Curve, log_x: float) -> float | None:
    """The error at a point of the axis; None outside the measured range."""
    if not one.log_x[0] <= log_x <= one.log_x[-1]:
        return None
    return float(np.interp(log_x, one.log_x, one.error))


def log_x_at(one: Curve, error: Floats) -> Floats:
    """Where the curve comes down to each error; errors must lie within its range."""
    return np.interp(-error, -one.error, one.log_x)
