"""Rows of features -> rows that clusters are made of: centred, and of bounded size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Normalizer:
    """Rows minus `mean`, float64[d], which moves no cluster, then of length one if `spherical`
    (one that equals the mean stays zero), else divided by `scale`, which changes distances by one
    factor alone. Computed in float64, rounded once to float32."""

    mean: NDArray[np.float64]
    scale: float
    spherical: bool

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32[n, d] -> float32[n, d]; each row is a function of that row alone."""
        out = rows - self.mean
        if not self.spherical:
            out /= self.scale
            return out.astype(np.float32)
        # Divided by the largest number first, so that no square can over- or underflow.
        largest = np.abs(out).max(axis=1, keepdims=True)
        out /= np.where(largest > 0, largest, 1.0)
        lengths = np.sqrt(np.square(out).sum(axis=1, keepdims=True))
        out /= np.where(lengths > 0, lengths, 1.0)
        return out.astype(np.float32)
