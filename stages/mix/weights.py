"""How often each part of a mixture is drawn, in whole numbers: nothing is rounded later."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from vitctl.errors import UsageError

MOST_DRAWS = 2**16
"""Of a round: orders keep a table of one, 1 MiB. Weights are exact if their round is no longer."""


def split_weight(text: str) -> tuple[str, Fraction | None]:
    """`photos=0.7` -> the reference and its weight; without a number after the last `=`, None.

    Raises UsageError for a weight that is not above 0.
    """
    reference, separator, number = text.rpartition("=")
    try:
        weight = Fraction(number) if separator else None
    except (ValueError, ZeroDivisionError):
        weight = None
    if weight is None or not reference:
        return text, None
    return reference, positive(weight, text)


def positive(weight: Fraction, text: str) -> Fraction:
    if weight <= 0:
        raise UsageError(
            f"{text}: a weight must be above 0", hint="leave the dataset out to draw none of it"
        )
    return weight


def as_draws(weights: Sequence[Fraction]) -> tuple[tuple[int, ...], bool]:
    """Whole numbers in the proportion of the weights, and whether they are exactly so. A round of
    more than `MOST_DRAWS` is rounded to so many, of which every part gets one at least."""
    common = math.lcm(*(weight.denominator for weight in weights))
    whole = [int(weight * common) for weight in weights]
    divisor = math.gcd(*whole)
    whole = [number // divisor for number in whole]
    if sum(whole) <= MOST_DRAWS:
        return tuple(whole), True
    total = sum(whole)
    draws = [max(1, number * MOST_DRAWS // total) for number in whole]
    # The largest remainders get what rounding down has left.
    remainders = sorted(range(len(whole)), key=lambda i: -(whole[i] * MOST_DRAWS % total))
    for i in remainders[: max(0, MOST_DRAWS - sum(draws))]:
        draws[i] += 1
    divisor = math.gcd(*draws)
    return tuple(number // divisor for number in draws), False


def by_temperature(sizes: Sequence[int], temperature: float) -> list[Fraction]:
    """n^(1/T) of each size n, relative to the largest."""
    largest = max(sizes)
    return [Fraction((size / largest) ** (1 / temperature)) for size in sizes]
