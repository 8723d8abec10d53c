"""Where the bottleneck is: the best error each model and each training set ever reached.

The paper's figure 2 (middle and right): when compute is no longer scarce, small models level off
whatever the data, and large ones level off by the data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vitctl.scaling.points import Points


@dataclass(frozen=True)
class Best:
    """The lowest error of one model, one training set or one pair; `index` points at its run."""

    model: str | None
    data_size: float | None
    error: float
    index: int
    runs: int


def by_model(points: Points) -> tuple[Best, ...]:
    """The best error of each model, smallest model first; empty without names."""
    if points.model is None:
        return ()
    return tuple(
        _best(points, points.model == name, model=name, data_size=None) for name in points.models
    )


def by_data(points: Points) -> tuple[Best, ...]:
    """The best error of each training set, smallest first; empty where sizes are unknown."""
    if points.data_size is None:
        return ()
    return tuple(
        _best(points, points.data_size == size, model=None, data_size=float(size))
        for size in np.unique(points.data_size)
    )


def by_model_and_data(points: Points) -> tuple[Best, ...]:
    """The best error of each pair that was run, in the order of the two tables above."""
    if points.model is None or points.data_size is None:
        return ()
    out = []
    for name in points.models:
        for size in np.unique(points.data_size):
            both = (points.model == name) & (points.data_size == size)
            if both.any():
                out.append(_best(points, both, model=name, data_size=float(size)))
    return tuple(out)


def _best(points: Points, mask: np.ndarray, *, model: str | None, data_size: float | None) -> Best:
    rows = np.flatnonzero(mask)
    index = int(rows[np.argmin(points.error[rows])])
    return Best(
        model=model,
        data_size=data_size,
        error=float(points.error[index]),
        index=index,
        runs=len(rows),
    )
