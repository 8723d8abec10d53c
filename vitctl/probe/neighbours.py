"""k nearest neighbours by the cosine of features, weighted.

The protocol of DINO (Caron et al., "Emerging properties in self-supervised vision transformers",
2021, `eval_knn.py`), after Wu et al., "Unsupervised feature learning via non-parametric instance
discrimination" (2018): the k most similar training images vote for their classes with the weight
exp(cosine / 0.07), and k is 20. Similarities are computed in fp32, votes are summed in float64.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 20
TEMPERATURE = 0.07

# Similarities at a time: 64 MB of them.
_SIMILARITIES = 2**24


def answers(
    train: NDArray[np.floating],
    labels: NDArray[np.integer],
    test: NDArray[np.floating],
    *,
    classes: int,
    counts: Sequence[int],
    temperature: float = TEMPERATURE,
) -> NDArray[np.int64]:
    """int64[counts, m]: the classes that so many of the nearest of `train` [n, d] give each row of
    `test` [m, d]; of equal votes the lower class. All counts are n at most."""
    if not 1 <= max(counts) <= len(train):
        raise ValueError(f"{max(counts)} neighbours of {len(train)} examples")
    reference, most = _normed(train).T, max(counts)
    winners = np.empty((len(counts), len(test)), np.int64)
    step = max(1, _SIMILARITIES // len(train))
    for first in range(0, len(test), step):
        similar = _normed(test[first : first + step]) @ reference
        rows = np.arange(len(similar))[:, None]
        nearest = np.argpartition(-similar, most - 1, axis=1)[:, :most]
        nearest = nearest[rows, np.argsort(-similar[rows, nearest], axis=1, kind="stable")]
        cosines = similar[rows, nearest].astype(np.float64)
        # Relative to the nearest, so that nothing overflows at low temperatures.
        weights = np.exp((cosines - cosines[:, :1]) / temperature)
        voted = rows * classes + labels[nearest]
        for winner, k in zip(winners, counts, strict=True):
            votes = np.bincount(
                voted[:, :k].ravel(), weights[:, :k].ravel(), minlength=len(similar) * classes
            )
            winner[first : first + step] = votes.reshape(len(similar), classes).argmax(axis=1)
    return winners


def _normed(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Rows of length 1; a row of zeros stays one, as far from everything as a right angle."""
    x = np.asarray(features, np.float64)
    norms = np.sqrt(np.einsum("nd,nd->n", x, x))
    return (x / np.where(norms > 0, norms, 1.0)[:, None]).astype(np.float32)
