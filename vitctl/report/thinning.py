"""Long series as few points: an envelope, so that one step's spike stays visible."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Thinned:
    """A series in n points.

    x            float64[n], ascending: of each stretch of rows its last
    y            float64[n]: the median of the stretch; of a single row its value
    low, high    float64[n]: the smallest and the largest value in it
    rows         how many values there were
    not_finite   how many of them are not finite: they are in no stretch
    """

    x: Floats
    y: Floats
    low: Floats
    high: Floats
    rows: int
    not_finite: int

    @property
    def is_thinned(self) -> bool:
        return len(self.x) < self.rows - self.not_finite


def thinned(x: Floats, y: Floats, *, most: int) -> Thinned:
    """float64[m] and float64[m] -> at most `most` points, in stretches of equally many rows. A
    series that is short enough stays as it is. Rows in which either number is not finite are
    left out, and counted."""
    finite = np.isfinite(x) & np.isfinite(y)
    rows, not_finite = len(x), int((~finite).sum())
    x, y = x[finite], y[finite]
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    if len(x) <= most:
        return Thinned(x, y, y, y, rows, not_finite)
    edges = np.linspace(0, len(x), most + 1).round().astype(np.int64)
    low = np.minimum.reduceat(y, edges[:-1])
    high = np.maximum.reduceat(y, edges[:-1])
    middle = np.array([np.median(y[a:b]) for a, b in pairwise(edges)])
    return Thinned(x[edges[1:] - 1], middle, low, high, rows, not_finite)
