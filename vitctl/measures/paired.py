"""Two classifiers on the same images: whether one is right more often.

Of n images both answer, `only_first` are right by the first alone, `only_second` by the second
alone; the others say nothing of a difference (McNemar, "Note on the sampling error of the
difference between correlated proportions or percentages", 1947).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from vitctl.probe.intervals import CONFIDENCE


@dataclass(frozen=True)
class Paired:
    """Counts of images by who is right, n in all."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @staticmethod
    def of(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Paired:
        """bool[n] of each: whether it is right."""
        return Paired(
            both=int(np.sum(first & second)),
            only_first=int(np.sum(first & ~second)),
            only_second=int(np.sum(~first & second)),
            neither=int(np.sum(~first & ~second)),
        )

    @property
    def images(self) -> int:
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def difference(self) -> float:
        """Accuracy of the second less that of the first."""
        return (self.only_second - self.only_first) / self.images

    def interval(self, *, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Of the difference: Wald's with the adjustment of Bonett and Price (2012), one image more
        that each alone has right, which Fagerland, Lydersen and Laake ("Recommended tests and
        confidence intervals for paired binomial proportions", 2014) recommend."""
        n = self.images + 2
        first, second = (self.only_first + 1) / n, (self.only_second + 1) / n
        centre = second - first
        error = math.sqrt((first + second - centre**2) / n)
        half = float(special.ndtri((1 + confidence) / 2)) * error
        return max(-1.0, centre - half), min(1.0, centre + half)

    @property
    def p_exact(self) -> float:
        """McNemar's test, exact and two-sided: how probable a split of the differing images as
        uneven as this is if both models are equally good. Holds for any number of images; 1 where
        none differ."""
        differing = self.only_first + self.only_second
        if not differing:
            return 1.0
        fewer = min(self.only_first, self.only_second)
        return min(1.0, 2 * float(stats.binom.cdf(fewer, differing, 0.5)))

    @property
    def p_mid(self) -> float:
        """The same with half the probability of the split itself: less conservative, and what the
        review of 2014 recommends."""
        differing = self.only_first + self.only_second
        if not differing:
            return 1.0
        fewer = min(self.only_first, self.only_second)
        if self.only_first == self.only_second:
            return 1.0 - float(stats.binom.pmf(fewer, differing, 0.5)) / 2
        own = float(stats.binom.pmf(fewer, differing, 0.5))
        return 2 * float(stats.binom.cdf(fewer, differing, 0.5)) - own
