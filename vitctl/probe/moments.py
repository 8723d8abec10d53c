"""Mean, scatter and sums by class of features: all that a ridge regression needs of many examples.

Moments of disjoint sets of examples add up, so that nested sets (the 5 shots of a draw are the
first 5 of its 10) need each example once. Sets are centred on their own means and joined by the
update of Chan, Golub and LeVeque, "Algorithms for computing the sample variance" (The American
Statistician 37, 1983): it adds positive semidefinite terms and subtracts nothing, so that a feature
of little variance far from zero keeps its digits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

# Rows of features turned to float64 at a time: 55 MB at width 1664.
_ROWS = 4096


@dataclass(frozen=True)
class Moments:
    """Of labelled examples.

    Attributes:
      counts: float64[y], examples of each class.
      mean: float64[d], of all examples.
      scatter: float64[d, d], the sum of (x - mean) (x - mean)^T.
      sums: float64[y, d], the sums of x - mean by class.
    """

    counts: NDArray[np.float64]
    mean: NDArray[np.float64]
    scatter: NDArray[np.float64]
    sums: NDArray[np.float64]

    @property
    def examples(self) -> float:
        return float(self.counts.sum())

    def __add__(self, other: Moments) -> Moments:
        """The moments of the examples of both."""
        ours, theirs = self.examples, other.examples
        shift = other.mean - self.mean
        mean = self.mean + shift * (theirs / (ours + theirs))
        scatter = np.outer(shift, shift * (ours * theirs / (ours + theirs)))
        scatter += self.scatter
        scatter += other.scatter
        sums = self.sums + other.sums
        sums += np.outer(self.counts, self.mean - mean)
        sums += np.outer(other.counts, other.mean - mean)
        return Moments(self.counts + other.counts, mean, scatter, sums)


def of(features: NDArray[np.floating], labels: NDArray[np.integer], *, classes: int) -> Moments:
    """The moments of `features` [n, d] with class indices `labels` [n], for n of at least 1."""
    n, d = features.shape
    mean = features.mean(axis=0, dtype=np.float64)
    scatter = np.zeros((d, d))
    sums = np.zeros((classes, d))
    for first in range(0, n, _ROWS):
        x = np.asarray(features[first : first + _ROWS], np.float64) - mean
        scatter += x.T @ x
        own = labels[first : first + _ROWS]
        members = scipy.sparse.csc_array(
            (np.ones(len(x)), own, np.arange(len(x) + 1)), shape=(classes, len(x))
        )
        sums += members @ x
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    return Moments(counts, mean, scatter, sums)
