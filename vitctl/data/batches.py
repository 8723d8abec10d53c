"""What a model is fed: plain numpy arrays, the same from a dataset on disk and from mock data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitctl.data.dataset import LabelledImages
from vitctl.data.order import batch_indices


@dataclass(frozen=True)
class TrainBatch:
    """The rows of one global batch that this process reads (all of them, with one process)."""

    step: int
    images: NDArray[np.float32]
    """float32[b, h, w, 3] in [-1, 1]."""
    labels: NDArray[np.int32]
    """int32[b, L] class indices, padded with -1."""
    keys: NDArray[np.uint64]
    """uint64[b] sample keys."""
    epochs: NDArray[np.int64]
    """int64[b]"""


@dataclass(frozen=True)
class EvalBatch:
    """Rows of a split; the last batch is filled up with rows whose mask is False."""

    images: NDArray[np.float32]
    """float32[b, h, w, 3] in [-1, 1]; 0 where masked."""
    labels: NDArray[np.int32]
    """int32[b, L] class indices, padded with -1."""
    mask: NDArray[np.bool_]
    """bool[b]: whether the row is an example."""
    indices: NDArray[np.int64]
    """int64[b] positions in the split; -1 where masked."""


def keys_of_steps(
    dataset: LabelledImages, *, split: str, seed: int, batch: int
) -> Callable[[int], NDArray[np.uint64]]:
    """step -> uint64[batch], the sample keys of that global batch in order. Reads no image."""
    keys = dataset.keys(split)

    def keys_of(step: int) -> NDArray[np.uint64]:
        order = batch_indices(seed=seed, examples=len(keys), batch=batch, step=step)
        return keys[order.indices]

    return keys_of
