"""What a model is fed: plain numpy arrays, the same from a dataset on disk and from mock data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitctl.data.image_source import ImageSource
from vitctl.data.order import Window, batch_indices, batch_of_step

Rows = NDArray[np.int64] | slice
"""Which rows of every global batch this process reads; ascending."""
ALL = slice(None)


@dataclass(frozen=True)
class TrainBatch:
    """One global batch; of its images only the `rows` that this process reads.

    step    finished updates before the one that trains on it
    number  its place in the order; more than `step` once a window was passed over
    """

    step: int
    number: int
    images: NDArray[Any]
    """float32[r, h, w, 3] in [-1, 1]; or int32[r, 7], what devices make them of
    (`FormulaImages.drawn`). May be read-only."""
    labels: NDArray[np.int32]
    """int32[b, L] class indices, padded with -1."""
    keys: NDArray[np.uint64]
    """uint64[b] sample keys."""
    epochs: NDArray[np.int64]
    """int64[b]"""
    rows: Rows = field(default_factory=lambda: ALL)

    @property
    def local(self) -> tuple[NDArray[Any], NDArray[np.int32]]:
        """(images, labels) of this process's rows."""
        return self.images, self.labels[self.rows]


@dataclass(frozen=True)
class EvalBatch:
    """A global batch of a split, of its images only the `rows` that this process reads; the last
    batch is filled up with rows whose mask is False."""

    images: NDArray[np.float32]
    """float32[r, h, w, 3] in [-1, 1]; 0 where masked."""
    labels: NDArray[np.int32]
    """int32[b, L] class indices, padded with -1."""
    mask: NDArray[np.bool_]
    """bool[b]: whether the row is an example."""
    indices: NDArray[np.int64]
    """int64[b] positions in the split; -1 where masked."""
    rows: Rows = field(default_factory=lambda: ALL)

    @property
    def local(self) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.bool_]]:
        """(images, labels, mask) of this process's rows."""
        return self.images, self.labels[self.rows], self.mask[self.rows]


def keys_of_steps(
    dataset: ImageSource,
    *,
    split: str,
    seed: int,
    batch: int,
    passed: Sequence[Window] = (),
    first_step: int = 0,
) -> Callable[[int], NDArray[np.uint64]]:
    """step -> uint64[batch], the sample keys of the global batch that the update after `step`
    finished ones trains on, in order, if the order begins at `first_step`. Reads no image."""
    keys, order = dataset.keys(split), dataset.order(split)

    def keys_of(step: int) -> NDArray[np.uint64]:
        number = batch_of_step(step, passed=passed, first_step=first_step)
        return keys[batch_indices(order, seed=seed, batch=batch, step=number).indices]

    return keys_of
