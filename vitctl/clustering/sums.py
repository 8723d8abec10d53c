"""Sums of rows by cluster as whole numbers, so that their order cannot matter.

A number of size at most 1 is rounded to a multiple of 2^-bits, with as many bits as the sum over
all rows leaves of 62: 42 for a million rows, more than float32 has. Sums of whole numbers are
exact: parts of several threads or processes add up to the same, and a row that changes its cluster
is taken off the one and added to the other without a trace.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BITS = 62
_MOST_BITS = 51
"""Whole numbers below 2^52 are exact in float64, in which they are rounded."""


def bits_for(rows: int, *, largest: float = 1.0) -> int:
    """How many bits after the point leave room for the sum of so many numbers up to `largest`."""
    room = _BITS - int(np.ceil(np.log2(max(2, rows)))) - int(np.ceil(np.log2(max(1.0, largest))))
    return min(_MOST_BITS, room)


def as_whole(numbers: NDArray[np.float32] | NDArray[np.float64], *, bits: int) -> NDArray[np.int64]:
    """The multiples of 2^-bits that numbers are rounded to."""
    return np.rint(np.ldexp(numbers.astype(np.float64), bits)).astype(np.int64)


@dataclass
class Sums:
    """Of the rows of each cluster: how many, int64[k], and their sum in 2^-bits, int64[k, d]."""

    counts: NDArray[np.int64]
    rows: NDArray[np.int64]
    bits: int

    @staticmethod
    def none(clusters: int, width: int, *, bits: int) -> Sums:
        return Sums(np.zeros(clusters, np.int64), np.zeros((clusters, width), np.int64), bits)

    def add(self, rows: NDArray[np.float32], labels: NDArray[np.int32], *, sign: int = 1) -> None:
        """Rows that come to the clusters of int32[n] labels; with sign -1 those that go."""
        if not len(rows):
            return
        order = np.argsort(labels, kind="stable")
        clusters, firsts = np.unique(labels[order], return_index=True)
        parts = np.add.reduceat(as_whole(rows[order], bits=self.bits), firsts, axis=0)
        self.rows[clusters] += sign * parts
        self.counts += sign * np.bincount(labels, minlength=len(self.counts))

    def means(self) -> NDArray[np.float64]:
        """float64[k, d]; of a cluster without rows, zeros."""
        return (
            np.ldexp(self.rows.astype(np.float64), -self.bits) / np.maximum(self.counts, 1)[:, None]
        )
