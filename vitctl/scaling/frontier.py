"""The frontier: the runs that no cheaper run beats.

The paper fits its law to "models with the best allocation of compute to model shape and training
duration" (section 2.2) and doesn't spell out how these are chosen. The running minimum reproduces
its printed coefficients on JFT; on the ImageNet-21k points a few lucky runs fool it, and the lower
convex hull in log space comes nearer. `all` takes every point: for tables that already are a
frontier, such as one curve's measurements, where picking the lucky ones would bend the law.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vitctl.scaling.laws import Floats
from vitctl.scaling.names import FrontierRule

Index = NDArray[np.intp]


def frontier(compute: Floats, error: Floats, *, rule: FrontierRule = "running-minimum") -> Index:
    """Indices of the frontier's points, by rising compute and (but for `all`) falling error.

    At equal compute only the lowest error can enter; of exact twins, the first.
    """
    order = np.lexsort((np.arange(len(compute)), error, compute))
    if rule == "all":
        return order
    best = np.minimum.accumulate(error[order])
    falls = np.ones(len(order), bool)
    falls[1:] = best[1:] < best[:-1]
    chosen = order[falls]
    return chosen if rule == "running-minimum" else _lower_hull(compute, error, chosen)


def frontier_mask(compute: Floats, error: Floats, present: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Running-minimum frontiers of many subsets at once.

    `error` [n] or [batch, n] and `present` [batch, n] give each subset; the result [batch, n] marks
    its frontier. Agrees with `frontier` on every subset.
    """
    batch, n = present.shape
    error = np.broadcast_to(error, (batch, n))
    masked = np.where(present, error, np.inf)
    order = np.argsort(masked, axis=1, kind="stable")
    order = np.take_along_axis(order, np.argsort(compute[order], axis=1, kind="stable"), axis=1)
    best = np.minimum.accumulate(np.take_along_axis(masked, order, axis=1), axis=1)
    falls = np.isfinite(best)
    falls[:, 1:] &= best[:, 1:] < best[:, :-1]
    mask = np.zeros((batch, n), bool)
    np.put_along_axis(mask, order, falls, axis=1)
    return mask


def frontier_masks(
    compute: Floats, error: Floats, present: NDArray[np.bool_], *, rule: FrontierRule
) -> NDArray[np.bool_]:
    """`frontier_mask` by any rule: `error` [n] or [batch, n], `present` [batch, n]."""
    if rule == "all":
        return present
    if rule == "running-minimum":
        return frontier_mask(compute, error, present)
    mask = np.zeros_like(present)
    for row, values in enumerate(np.broadcast_to(error, present.shape)):
        at = np.flatnonzero(present[row])
        mask[row, at[frontier(compute[at], values[at], rule=rule)]] = True
    return mask


def _lower_hull(compute: Floats, error: Floats, chosen: Index) -> Index:
    """The lower convex hull in log-log of a falling chain (Andrew's monotone chain).

    The hull's falling part can only touch the running minimum, so nothing is lost by starting
    from it.
    """
    x, y = np.log(compute), np.log(error)
    hull: list[int] = []
    for k in chosen:
        while len(hull) > 1:
            i, j = hull[-2], hull[-1]
            if (x[j] - x[i]) * (y[k] - y[i]) > (y[j] - y[i]) * (x[k] - x[i]):
                break
            hull.pop()
        hull.append(int(k))
    return np.array(hull, np.intp)
