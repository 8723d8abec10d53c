"""95 % intervals of metrics by drawing the images again, with replacement (Efron, 1979).

The basic interval: what a redrawn set of images adds to a metric, these images added to the truth,
so quantiles of the redrawn values are mirrored at the value. That corrects the first order of a
bias, which the calibration error has: of few images it is too high, and of redrawn ones higher
still. Where most redrawn values are on one side of the value, its interval is on the other, and
does not contain it: it says where the metric of many images lies. Both ends are values there can
be.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vitctl.measures.metrics import Applied
from vitctl.probe.intervals import CONFIDENCE

_MOST_DRAWS = 1000
_LEAST_DRAWS = 100
_NUMBERS = 500_000_000
"""Numbers that all draws of a metric may touch: one second on a core for most metrics, ten for mAP
(measured 2026-11-29, docs/log/2026-11.md)."""


def draws_of(metric: Applied) -> int:
    """How often the images are drawn again; 0 where enough draws would take minutes."""
    draws = min(_MOST_DRAWS, _NUMBERS // max(1, metric.numbers))
    return draws if draws >= _LEAST_DRAWS else 0


def intervals(
    metrics: Sequence[Applied], *, images: int, seed: int = 0, confidence: float = CONFIDENCE
) -> list[tuple[float, float] | None]:
    """The interval of each metric, all of the same draws; None where `draws_of` says so, and where
    a value is not finite."""
    draws = [draws_of(metric) for metric in metrics]
    redrawn: list[list[float]] = [[] for _ in metrics]
    rng = np.random.default_rng(seed)
    for draw in range(max(draws, default=0)):
        chosen = rng.integers(0, images, images)
        weights = np.bincount(chosen, minlength=images).astype(np.float64)
        for metric, most, values in zip(metrics, draws, redrawn, strict=True):
            if draw < most:
                values.append(metric.value(weights))
    return [
        _basic(metric, np.array(values), confidence=confidence)
        for metric, values in zip(metrics, redrawn, strict=True)
    ]


def _basic(
    metric: Applied, redrawn: np.ndarray, *, confidence: float
) -> tuple[float, float] | None:
    value = metric.value(None)
    if not redrawn.size or not np.isfinite(redrawn).all() or not np.isfinite(value):
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(redrawn, [tail, 1 - tail])
    least, most = metric.range
    clipped = np.clip([2 * value - high, 2 * value - low], least, most)
    return float(clipped[0]), float(clipped[1])
