"""Which center is nearest to each row.

The answer is defined in float64: the smallest sum of (row - center)^2, added up by NumPy row by
row; of equal ones the first center. It is mostly found by one float32 matrix product: the nearest
center has the largest row . center - |center|^2 / 2. Whatever the order in which the product is
added up, it errs by at most about d 2^-24 |row| |center| (Higham, "Accuracy and Stability of
Numerical Algorithms", section 3.1), so where the best two differ by more than twice that, the
answer is proven. For other rows the centers that could be it are compared in float64. So neither
the library that multiplies, nor its threads, nor the size of blocks changes an answer.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_UNIT = 2.0**-24
"""Half the distance from 1 to the next float32."""
_SCORES = 2**22
"""Scores in memory at a time, in each thread."""
_PAIRS = 2**20
"""Numbers of pairs that are compared in float64 at a time."""


@dataclass(frozen=True)
class Centers:
    """Centers, float64[k, d], and what the fast comparison needs of them."""

    exact: NDArray[np.float64]
    rounded: NDArray[np.float32]
    half_squares: NDArray[np.float32]
    longest: float

    @staticmethod
    def of(exact: NDArray[np.float64]) -> Centers:
        squares = np.square(exact).sum(axis=1)
        return Centers(
            exact=exact,
            rounded=exact.astype(np.float32),
            half_squares=(squares / 2).astype(np.float32),
            longest=float(np.sqrt(squares.max())),
        )


def nearest(
    rows: NDArray[np.float32], centers: Centers, *, threads: Executor | None = None
) -> NDArray[np.int32]:
    """int32[n]: the center nearest to each of float32[n, d] rows."""
    at_once = max(16, min(4096, _SCORES // len(centers.exact)))
    blocks = [rows[first : first + at_once] for first in range(0, len(rows), at_once)]
    if not blocks:
        return np.empty(0, np.int32)
    each = map if threads is None else threads.map
    return np.concatenate([*each(lambda block: _nearest(block, centers), blocks)])


def squared_distances(
    rows: NDArray[np.float32], centers: NDArray[np.float64]
) -> NDArray[np.float64]:
    """float64[n]: of each row from the center of the same place."""
    return np.square(rows - centers).sum(axis=1)


def _nearest(rows: NDArray[np.float32], centers: Centers) -> NDArray[np.int32]:
    scores = rows @ centers.rounded.T
    scores -= centers.half_squares
    best = scores.argmax(axis=1)
    every = np.arange(len(rows))
    top = scores[every, best]
    scores[every, best] = -np.inf
    lengths = np.sqrt(np.square(rows, dtype=np.float64).sum(axis=1))
    width = rows.shape[1]
    # The product, the rounding of centers to float32, of half squares, and of the difference.
    error = _UNIT * (1.01 * (width + 4) * lengths * centers.longest + 3 * centers.longest**2)
    floor = (top - 2 * error).astype(np.float32)
    floor = np.nextafter(floor, np.float32(-np.inf))
    open_rows = np.flatnonzero(scores.max(axis=1) >= floor)
    scores[every, best] = top
    most = max(1, _PAIRS // width)
    first = 0
    while first < len(open_rows):
        some = open_rows[first : first + max(1, most // 8)]
        row, center = np.nonzero(scores[some] >= floor[some, None])
        distances = np.empty(len(row))
        for begin in range(0, len(row), most):
            part = slice(begin, begin + most)
            distances[part] = squared_distances(rows[some[row[part]]], centers.exact[center[part]])
        # By row, then distance, then number: the first of each row is its answer.
        order = np.lexsort((center, distances, row))
        _, begins = np.unique(row[order], return_index=True)
        best[some] = center[order[begins]]
        first += len(some)
    return best.astype(np.int32)
