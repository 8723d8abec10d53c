"""Where the bottleneck is: the best error each model and each training set ever reached.

The paper's figure 2 (middle and right): when compute is no longer scarce, small models level off
whatever the data, and large ones level off by the data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vitctl.scaling.points import Points


@dataclass(frozen=True)
class Best:
    """The lowest error of one model, one training set or one pair; `index` points at its run.

    `short`: this pair's longest run saw less than half the images of the model's longest, so its
    best error says little about the training set.
    """

    model: str | None
    data_size: float | None
    error: float
    index: int
    runs: int
    short: bool = False


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
                best = _best(points, both, model=name, data_size=float(size))
                out.append(replace(best, short=_short(points, both, model=name)))
    return tuple(out)


def _short(points: Points, pair: np.ndarray, *, model: str) -> bool:
    if points.images is None:
        return False
    assert points.model is not None
    longest = points.images[points.model == model].max()
    return bool(points.images[pair].max() < 0.5 * longest)


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
