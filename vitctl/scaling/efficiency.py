"""Sample efficiency: how many times the images one model needs for another's error.

The paper's section 2.3: at equal few-shot error, Ti/16 needs about a hundred times the images of
L/16. The factor is not one number: it grows as the smaller model saturates. So it is averaged (in
the logarithm) over the errors that both curves pass through, and given at both ends as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from vitctl.scaling.bootstrap import percentiles
from vitctl.scaling.curves import Curve, curves, log_x_at, redraw
from vitctl.scaling.names import Measure
from vitctl.scaling.points import Points
from vitctl.scaling.profile import Interval

_STEPS = np.linspace(0.0, 1.0, 65)  # between the two ends: errors that are compared
_ENOUGH = 0.9  # share of the draws in which the curves must still overlap


@dataclass(frozen=True)
class SampleEfficiency:
    """`model` needs `factor` times the images of `reference`; None, with the reason, where their
    errors do not overlap or images are unknown.

    `at_highest` and `at_lowest` are the factors at the ends of the shared errors.
    """

    model: str
    reference: str
    factor: float | None
    interval: Interval
    errors: tuple[float, float] | None  # shared range, lowest first
    at_lowest: float | None
    at_highest: float | None
    reason: str | None


def sample_efficiencies(
    points: Points,
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
    draws: int,
    seed: int,
    level: float = 0.95,
    noise: float | None = None,
) -> tuple[SampleEfficiency, ...]:
    """For each pair (model, reference) the images the one needs for each image of the other.

    Left out, `pairs` are all pairs of models, the smaller one first. The interval redraws both
    curves with their noise.
    """
    pairs = list(combinations(points.models, 2)) if pairs is None else list(pairs)
    if points.images is None:
        return tuple(_unknown(*pair, "the table has no images seen") for pair in pairs)
    names = [name for name in points.models if any(name in pair for pair in pairs)]
    of_model = dict(zip(names, curves(points, names, over=points.images, noise=noise), strict=True))
    redrawn: dict[str, list[Curve]] = {}
    for name, stream in zip(names, np.random.SeedSequence(seed).spawn(len(names)), strict=True):
        redrawn[name] = redraw(of_model[name], draws=draws, rng=np.random.default_rng(stream))
    return tuple(
        _compare(
            of_model[a],
            of_model[b],
            redrawn=(redrawn[a], redrawn[b]),
            level=level,
            measure=points.measure,
        )
        for a, b in pairs
    )


def _compare(
    one: Curve,
    other: Curve,
    *,
    redrawn: tuple[list[Curve], list[Curve]],
    level: float,
    measure: Measure,
) -> SampleEfficiency:
    overlap = _factors(one, other)
    if overlap is None:
        ranges = f"{one.name} {_range(one, measure)}, {other.name} {_range(other, measure)}"
        nouns = "errors" if measure == "error" else "losses"
        return _unknown(one.name, other.name, f"their {nouns} do not overlap: {ranges}")
    errors, factors = overlap
    interval, reason = _interval(one, other, redrawn=redrawn, level=level)
    return SampleEfficiency(
        model=one.name,
        reference=other.name,
        factor=math.exp(float(np.mean(factors))),
        interval=interval,
        errors=(float(errors[-1]), float(errors[0])),
        at_lowest=math.exp(factors[-1]),
        at_highest=math.exp(factors[0]),
        reason=reason,
    )


def _factors(one: Curve, other: Curve) -> tuple[np.ndarray, np.ndarray] | None:
    """Shared errors from the highest down, and the log factor at each."""
    highest = min(one.error[0], other.error[0])
    lowest = max(one.error[-1], other.error[-1])
    if lowest >= highest:
        return None
    errors = highest + _STEPS * (lowest - highest)
    return errors, log_x_at(one, errors) - log_x_at(other, errors)


def _interval(
    one: Curve, other: Curve, *, redrawn: tuple[list[Curve], list[Curve]], level: float
) -> tuple[Interval, str | None]:
    if one.noise is None or other.noise is None:
        few = one if one.noise is None else other
        return (None, None), f"no interval: {len(few.error)} points of {few.name} are too few"
    overlaps = [_factors(a, b) for a, b in zip(*redrawn, strict=True)]
    factors = [overlap[1] for overlap in overlaps if overlap is not None]
    if len(factors) < _ENOUGH * len(overlaps):
        return (None, None), "no interval: their errors overlap by less than the noise"
    return percentiles(np.exp(np.mean(factors, axis=1)), level=level), None


def _unknown(model: str, reference: str, reason: str) -> SampleEfficiency:
    return SampleEfficiency(model, reference, None, (None, None), None, None, None, reason)


def _range(one: Curve, measure: Measure) -> str:
    if measure == "loss":
        return f"{one.error[-1]:.4g} to {one.error[0]:.4g}"
    return f"{100 * one.error[-1]:.1f} to {100 * one.error[0]:.1f} %"
