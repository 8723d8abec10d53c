"""The luck of the frontier: how far picking the best runs has pulled the law down.

A running minimum over noisy runs prefers lucky ones, so its law lies below the curve the runs
scatter about, the more so the more runs crowd it; an interval that takes the frontier as given
then misses the truth. Indirect inference undoes this: look for the law whose simulated tables,
put through the same frontier and fit, give the law that was found. Only runs near the law are
simulated; those far above keep their measured error.

The distance between that law and the fit widens the profile interval, on the side where it lies.
With `noise` None the scatter is taken to be noise as a whole, which is the cautious reading: part
of it may be real differences between models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vitctl.scaling.bootstrap import blocks, refit
from vitctl.scaling.fit import Fit
from vitctl.scaling.frontier import frontier, frontier_masks
from vitctl.scaling.laws import PARAMETERS, SMALLEST_ERROR, Floats, Law, predict
from vitctl.scaling.names import FrontierRule, Parameter
from vitctl.scaling.profile import Interval

_ROUNDS = 4
_NEAR = 2.5  # runs within this many standard deviations of the law may have been lucky


@dataclass(frozen=True)
class Selection:
    """`law` explains the fit once luck is counted in; `noise` is the standard deviation of one
    run's error; `crowd` how many runs lie near enough to the law to have been lucky."""

    law: Law
    noise: float
    crowd: int


def selection(
    fit: Fit,
    compute: Floats,
    error: Floats,
    *,
    rule: FrontierRule,
    draws: int,
    seed: int,
    noise: float | None = None,
) -> Selection | None:
    """The law behind the fit for the whole table [n]; None where nothing was selected (`all`)."""
    if rule == "all":
        return None
    chosen = frontier(compute, error, rule=rule)
    fitted = _natural(fit.theta)
    lower, upper = (
        _natural(x)
        for x in fit.bounds.arrays(fit.form, largest_compute=float(compute.max()), unit=fit.unit)
    )
    free = np.array([name in fit.free for name in PARAMETERS])
    law, sigma = fitted, fit.scatter if noise is None else noise
    x = compute / fit.unit
    scatter = float(np.std(Law(*fitted).error(x[chosen]) - error[chosen]))
    crowd = 0
    for _ in range(_ROUNDS):
        near = np.abs(error - Law(*law).error(x)) <= _NEAR * sigma
        near[chosen] = True
        crowd = int(near.sum())
        theta, spread = _simulate(
            fit, Law(*law), compute, np.where(near, np.nan, error), sigma, rule, draws, seed
        )
        if len(theta) < draws // 2:
            break  # such noise leaves hardly a frontier; keep the tables so far
        if noise is None and scatter > 0:
            simulated = float(np.median(spread))
            sigma *= float(np.clip(scatter / max(simulated, 1e-12), 0.7, 1.5))
        bias = np.median(_natural(theta), axis=0) - fitted
        # An amplitude of zero is no law; the other parameters may rest on their bounds.
        lower[0] = max(lower[0], 1e-6 * fitted[0])
        law = np.where(free, np.clip(law - bias, lower, upper), fitted)
    theta = Law(*(float(value) for value in law)).theta()
    return Selection(law=Law.from_theta(theta, unit=fit.unit), noise=float(sigma), crowd=crowd)


def widened(
    intervals: dict[Parameter, Interval], fit: Fit, chosen: Selection | None
) -> dict[Parameter, Interval]:
    """Profile intervals stretched to the noise behind the fit and shifted out to its law."""
    if chosen is None:
        return intervals
    stretch = max(1.0, chosen.noise / fit.scatter) if fit.scatter > 0 else 1.0
    out: dict[Parameter, Interval] = {}
    for name, (low, high) in intervals.items():
        centre, shift = getattr(fit.law, name), getattr(chosen.law, name) - getattr(fit.law, name)
        if low is not None:
            low = centre - (centre - low) * stretch + min(shift, 0.0)
            low = max(low, 0.0)
        if high is not None:
            high = centre + (high - centre) * stretch + max(shift, 0.0)
        out[name] = (low, high)
    return out


def _simulate(
    fit: Fit,
    law: Law,
    compute: Floats,
    error: Floats,
    sigma: float,
    rule: FrontierRule,
    draws: int,
    seed: int,
) -> tuple[Floats, Floats]:
    """Refits [fitted, 4] of simulated tables and their scatter [fitted]: runs of unknown error
    (NaN) scatter about the law, the others keep theirs. Law and refits are in the fit's unit."""
    # The same draws each round, so that the rounds converge.
    rng = np.random.default_rng(seed)
    thetas, spreads = [], []
    for block in blocks(draws, len(compute)):
        drawn = law.error(compute / fit.unit) + sigma * rng.standard_normal((block, len(compute)))
        drawn = np.where(np.isnan(error), np.maximum(drawn, SMALLEST_ERROR), error)
        every = np.ones(drawn.shape, bool)
        weight = frontier_masks(compute, drawn, every, rule=rule).astype(np.float64)
        enough = weight.sum(1) >= len(fit.free) + 1
        drawn, weight = drawn[enough], weight[enough]
        theta = refit(fit, compute, drawn, weight)
        missed = np.sum(weight * (drawn - predict(theta, compute / fit.unit)) ** 2, axis=1)
        thetas.append(theta)
        spreads.append(np.sqrt(missed / weight.sum(1)))
    return np.concatenate(thetas), np.concatenate(spreads)


def _natural(theta: Floats) -> Floats:
    """(log a, b, c, d) -> (a, b, c, d)."""
    out = np.array(theta, np.float64)
    out[..., 0] = np.exp(out[..., 0])
    return out
