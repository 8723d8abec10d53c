"""k-means++: each next center is a row drawn in proportion to its squared distance from the
nearest center there is, the best of a few draws (Arthur and Vassilvitskii 2007, greedily).

Rows are rounded to whole numbers so small that every product and sum of them is exact in float64:
a matrix product then has one result, whatever multiplies, and the draws depend on nothing but the
rows and the seed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_EXACT_BITS = 53


def choose(
    rows: NDArray[np.float32],
    *,
    clusters: int,
    seed: int,
    progress: Callable[[int], None] = lambda done: None,
) -> NDArray[np.int64]:
    """int64[m]: the places of `clusters` rows, of float32[n, d] with numbers up to 1 in size; fewer
    where fewer rows differ."""
    random = np.random.Generator(np.random.Philox(seed))
    whole = _whole(rows)
    squares = np.square(whole).sum(axis=1)
    draws = 2 + int(np.log(clusters))
    chosen = [min(int(random.random() * len(rows)), len(rows) - 1)]
    closest = _distances(whole, squares, np.array(chosen))[0]
    while len(chosen) < clusters and closest.any():
        upto = np.cumsum(closest)
        drawn = np.searchsorted(upto, random.random(draws) * upto[-1], side="right")
        # Rounding may end at the last row, which may be no candidate.
        drawn = np.minimum(drawn, np.flatnonzero(closest)[-1])
        distances = np.minimum(_distances(whole, squares, drawn), closest)
        best = int(np.argmin(distances.sum(axis=1)))
        closest = distances[best]
        chosen.append(int(drawn[best]))
        progress(len(chosen))
    return np.array(chosen, np.int64)


def _whole(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Rounded to so many bits that squared distances are exact: 4 d 2^(2 bits) below 2^53."""
    bits = (_EXACT_BITS - 2 - int(np.ceil(np.log2(max(2, rows.shape[1]))))) // 2
    return np.rint(np.ldexp(rows.astype(np.float64), bits))


def _distances(
    whole: NDArray[np.float64], squares: NDArray[np.float64], places: NDArray[np.int64]
) -> NDArray[np.float64]:
    """float64[t, n]: squared, of every row from those at some places."""
    products = whole[places] @ whole.T
    return squares[places, None] + squares - 2 * products
