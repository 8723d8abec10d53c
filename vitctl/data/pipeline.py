"""Batches of a dataset, for training and for scoring. Importing this imports no TensorFlow."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitctl.data.batches import ALL, EvalBatch, Rows, TrainBatch
from vitctl.data.config import AugmentConfig, EvalPreprocess
from vitctl.data.image_source import ImageSource
from vitctl.data.order import (
    BatchIndices,
    Window,
    augment_seeds,
    batch_of_step,
    batches_of_order,
)
from vitctl.data.read_clock import ReadClock
from vitctl.data.views import EvalView, TrainView


def train_batches(
    dataset: ImageSource,
    *,
    split: str = "train",
    resolution: int,
    augment: AugmentConfig,
    seed: int,
    batch: int,
    start_step: int = 0,
    rows: Rows = ALL,
    passed: Sequence[Window] = (),
    first_step: int = 0,
    workers: int | None = None,
    clock: ReadClock | None = None,
    images_of: Callable[..., Iterator[NDArray[Any]]] | None = None,
) -> Generator[TrainBatch, None, None]:
    """The endless training stream from `start_step` on, without the windows `passed` over; the
    order begins at `first_step`.

    Batch t is the same whatever the start, the workers (threads; None takes all cores) and the
    number of processes; `rows` are those of every global `batch` whose images this process reads.
    `clock` adds up the time spent reading. `images_of` is asked for the images instead of
    `dataset.images`, as that is. Raises `InputError` naming shard and record if one turns out
    damaged.
    """
    keys, labels = dataset.keys(split), dataset.labels(split)
    order = dataset.order(split)
    # Computed once, by whoever reads ahead, for the consumer as well.
    upcoming: deque[tuple[int, BatchIndices]] = deque()

    def requests() -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32]]]:
        numbers = (
            batch_of_step(step, passed=passed, first_step=first_step)
            for step in itertools.count(start_step)
        )
        for number, whole in batches_of_order(order, numbers, seed=seed, batch=batch):
            upcoming.append((number, whole))
            epochs, indices = (part[rows] for part in whole)
            yield indices, augment_seeds(seed=seed, epochs=epochs, keys=keys[indices])

    images = (images_of or dataset.images)(
        requests(),
        split=split,
        view=TrainView(resolution, augment),
        batch=_count(rows, batch),
        workers=workers,
        clock=clock,
    )
    for step, block in enumerate(images, start=start_step):
        number, (epochs, indices) = upcoming.popleft()
        yield TrainBatch(
            step=step,
            number=number,
            images=block,
            labels=labels[indices],
            keys=keys[indices],
            epochs=epochs,
            rows=rows,
        )


def eval_batches(
    dataset: ImageSource,
    *,
    split: str,
    resolution: int,
    preprocess: EvalPreprocess,
    batch: int,
    indices: NDArray[np.int64] | None = None,
    rows: Rows = ALL,
    workers: int | None = None,
) -> Iterator[EvalBatch]:
    """Every example of a split exactly once, in record order (or those at `indices`, in theirs).

    All batches have `batch` rows, and the images of those in `rows`; the last is filled up.
    """
    labels = dataset.labels(split)
    wanted = np.arange(len(labels), dtype=np.int64) if indices is None else indices
    size = _count(rows, batch)
    parts = [_filled(wanted[i : i + batch], batch, -1) for i in range(0, len(wanted), batch)]
    own = [part[rows][part[rows] >= 0] for part in parts]

    def requests() -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32]]]:
        for part in own:
            if len(part):
                yield part, np.zeros((len(part), 2), np.int32)

    images = dataset.images(
        requests(),
        split=split,
        view=EvalView(resolution, preprocess),
        batch=size,
        workers=workers,
    )
    empty = np.zeros((0, resolution, resolution, 3), np.float32)
    for indices, part in zip(parts, own, strict=True):
        block = next(images) if len(part) else empty
        is_image = indices >= 0
        yield EvalBatch(
            images=_filled(block, size, 0),
            labels=np.where(is_image[:, None], labels[indices], -1),
            mask=is_image,
            indices=indices,
            rows=rows,
        )


def _count(rows: Rows, batch: int) -> int:
    return len(range(batch)[rows]) if isinstance(rows, slice) else len(rows)


def _filled(rows: NDArray, size: int, value: int) -> NDArray:
    """`rows` with rows of `value` added up to `size`."""
    if len(rows) == size:
        return rows
    out = np.full((size, *rows.shape[1:]), value, rows.dtype)
    out[: len(rows)] = rows
    return out
