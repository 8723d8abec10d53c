"""The weighted mean of several checkpoints' weights, of which two at a time are in memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

Params = Any


def weighted(trees: Iterable[tuple[float, Params]]) -> Params:
    """sum_i w_i p_i / sum_i w_i over pairs (w_i, p_i) of positive weights and parameter trees, as
    NumPy arrays.

    m_k = m_{k-1} + (w_k / (w_1 + ... + w_k)) (p_k - m_{k-1}), in float64 and rounded to the type
    of the parameters after each: equal trees have exactly themselves as their mean.
    """
    mean: Params = None
    total = 0.0
    for weight, params in trees:
        total += weight
        mean = step(mean, params, share=weight / total)
    if mean is None:
        raise ValueError("a mean of nothing")
    return mean


def step(mean: Params | None, params: Params, *, share: float) -> Params:
    """mean + share (params - mean); the parameters where there is no mean yet."""
    if mean is None:
        return jax.tree.map(np.array, params)

    def nearer(m: NDArray[Any], p: Any) -> NDArray[Any]:
        before = m.astype(np.float64)
        return np.asarray(before + share * (np.asarray(p, np.float64) - before), m.dtype)

    return jax.tree.map(nearer, mean, params)
