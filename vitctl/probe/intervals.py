"""A mean over draws, and two reasons to doubt it: other shots, other test images.

The t interval covers the mean over all possible draws of shots, with this test set; the binomial
interval covers what another test set of the same size would do to one accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

CONFIDENCE = 0.95


@dataclass(frozen=True)
class DrawStatistics:
    """Of accuracies in 0..1, or of their differences. `std` (ddof 1) and `interval` are None for
    one draw."""

    mean: float
    std: float | None
    interval: tuple[float, float] | None


def over_draws(accuracies: Sequence[float], *, confidence: float = CONFIDENCE) -> DrawStatistics:
    """Mean, standard deviation and Student's t interval of the mean, cut to 0..1."""
    over = differences(accuracies, confidence=confidence)
    if over.interval is None:
        return over
    low, high = over.interval
    return DrawStatistics(over.mean, over.std, (max(0.0, low), min(1.0, high)))


def differences(values: Sequence[float], *, confidence: float = CONFIDENCE) -> DrawStatistics:
    """Mean, standard deviation and Student's t interval of the mean of one number a draw."""
    numbers = np.asarray(values, np.float64)
    if numbers.ndim != 1 or not numbers.size:
        raise ValueError(f"expected accuracies of at least one draw, got shape {numbers.shape}")
    mean, n = float(numbers.mean()), numbers.size
    if n == 1:
        return DrawStatistics(mean, None, None)
    std = float(numbers.std(ddof=1))
    half = float(special.stdtrit(n - 1, (1 + confidence) / 2)) * std / math.sqrt(n)
    return DrawStatistics(mean, std, (mean - half, mean + half))


def binomial(
    accuracy: float, *, examples: int, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Wilson's score interval of an accuracy measured on so many independent examples.

    Of the usual ones it covers best at few examples and near 0 and 1 (Brown, Cai and DasGupta,
    "Interval estimation for a binomial proportion", 2001). `accuracy` may be a mean over draws, so
    it need not be a whole number of examples.
    """
    if not 0.0 <= accuracy <= 1.0 or examples < 1:
        raise ValueError(f"expected an accuracy of examples, got {accuracy} of {examples}")
    z2 = float(special.ndtri((1 + confidence) / 2)) ** 2
    centre = (accuracy + z2 / (2 * examples)) / (1 + z2 / examples)
    variance = accuracy * (1 - accuracy) / examples + z2 / (4 * examples**2)
    half = math.sqrt(z2 * variance) / (1 + z2 / examples)
    # The ends are exactly 0 and 1 there; rounding must not say otherwise.
    low = 0.0 if accuracy == 0.0 else max(0.0, centre - half)
    high = 1.0 if accuracy == 1.0 else min(1.0, centre + half)
    return low, high
