"""How even clusters are, and how they agree with other labels of the same images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def balance(sizes: NDArray[np.int64]) -> float:
    """The entropy of clusters' sizes, as a share of that of even ones: 1 where all are equal."""
    # Rounding may lift it above 1.
    return min(1.0, _entropy(sizes) / float(np.log(len(sizes)))) if len(sizes) > 1 else 1.0


def normalized_mutual_information(one: NDArray[np.int32], other: NDArray[np.int32]) -> float:
    """2 I(one; other) / (H(one) + H(other)) of two labellings, int32[n]; 0 where both have one
    label alone. 1 where each says the other, 0 where they are independent, but for chance, which
    grows with the number of clusters."""
    pairs = np.stack([one, other], axis=1)
    _, counts = np.unique(pairs, axis=0, return_counts=True)
    own, theirs = (_entropy(np.unique(labels, return_counts=True)[1]) for labels in (one, other))
    shared = own + theirs - _entropy(counts)
    return min(1.0, max(0.0, 2 * shared / (own + theirs))) if own + theirs > 0 else 0.0


def _entropy(counts: NDArray[np.int64]) -> float:
    """In nats."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
