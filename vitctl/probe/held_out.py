"""A parameter is chosen on examples that were learned from, held out in turn; never on test images.

The shots of each class are dealt into folds, so that every class is as frequent in what is learned
from as in what is held out (leaving out one example of balanced classes would make its own class
the rarest). A class with one example is always learned from. Few shots make as many folds as shots,
up to five; many examples make more and smaller ones, and folds are tried until enough examples have
been held out: 2,000 of them tell apart what differs by two points.

The parameter with the most right answers is taken; of several, the one nearest to the usual.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

_FOLDS = 5
_A_FOLD = 10_000
_ENOUGH = 2_000

Rows = NDArray[np.int64]
"""Rows of features by class, [y, k], padded with -1."""


def can_choose(rows: Rows) -> bool:
    """Whether a class has an example to hold out and one to learn from."""
    return bool(((rows >= 0).sum(axis=1) > 1).any())


def folds(rows: Rows) -> Iterator[tuple[Rows, Rows]]:
    """What is learned from and what is held out of `rows`, again and again."""
    real = rows >= 0
    counts = real.sum(axis=1)
    most = int(counts.max())
    count = max(1, min(most, max(_FOLDS, math.ceil(real.sum() / _A_FOLD))))
    done = 0
    for fold in range(count):
        out = real & (np.arange(rows.shape[1]) % count == fold) & (counts > 1)[:, None]
        yield np.where(out, -1, rows), np.where(out, rows, -1)
        done += int(out.sum())
        if done >= _ENOUGH:
            return


def choose(
    candidates: Sequence[float],
    rows: Rows,
    *,
    right: Callable[[Rows, Rows], NDArray[np.int64]],
    usual: float,
) -> float:
    """The best of `candidates`; `right` of (learned, held out) counts the right answers of each."""
    totals = np.zeros(len(candidates), np.int64)
    for learned, held in folds(rows):
        totals += right(learned, held)
    best = [c for c, total in zip(candidates, totals, strict=True) if total == totals.max()]
    return min(best, key=lambda candidate: abs(math.log(candidate / usual)))
