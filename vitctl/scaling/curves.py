"""One model's learning curve, its noise, and what follows from two of them.

A curve is the lower envelope of a model's runs over images (or compute): at each length the best
training set. Between measurements it is read off log-linearly; beyond them it is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vitctl.scaling.fit import fit_law
from vitctl.scaling.frontier import frontier
from vitctl.scaling.laws import FREE, Floats
from vitctl.scaling.points import Points


@dataclass(frozen=True)
class Curve:
    """Falling errors [n] over a growing axis [n] (as logarithms), and the standard deviation of
    one measured error; None where too few points tell."""

    name: str
    log_x: Floats
    error: Floats
    noise: float | None


def curve(points: Points, *, model: str, over: Floats, noise: float | None = None) -> Curve:
    """The envelope of one model's runs over `over` [n], images or compute of every point.

    The noise, unless given, is the scatter about the law fitted to the envelope, which counts
    the misfit of the law as noise too.
    """
    assert points.model is not None
    own = np.flatnonzero(points.model == model)
    own = own[frontier(over[own], points.error[own])]
    x, error = over[own], points.error[own]
    if noise is None and len(own) >= len(FREE["saturating"]) + 2:
        noise = fit_law(x, error).scatter
    return Curve(name=model, log_x=np.log(x), error=error, noise=noise)


def redraw(one: Curve, *, draws: int, rng: np.random.Generator) -> list[Curve]:
    """The curve as it might have been measured: its errors with noise, its envelope again."""
    sigma = one.noise or 0.0
    errors = one.error + sigma * rng.standard_normal((draws, len(one.error)))
    out = []
    for row in errors:
        falls = row < np.concatenate([[np.inf], np.minimum.accumulate(row)[:-1]])
        out.append(Curve(one.name, one.log_x[falls], row[falls], one.noise))
    return out


def error_at(one: Curve, log_x: float) -> float | None:
    """The error at a point of the axis; None outside the measured range."""
    if not one.log_x[0] <= log_x <= one.log_x[-1]:
        return None
    return float(np.interp(log_x, one.log_x, one.error))


def log_x_at(one: Curve, error: Floats) -> Floats:
    """Where the curve comes down to each error; errors must lie within its range."""
    return np.interp(-error, -one.error, one.log_x)
