"""A batch of training again: which images, how each was seen, what the step made of them.

The order is arithmetic and augmentation a function of (seed, epoch, sample), so nothing had to be
recorded while training ran.

A step is called as in `metrics.jsonl` and in messages: step N is the update that made N finished
ones, so it trained on the batch after N - 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitctl import losses
from vitctl.hardware import machine
from vitctl.train.config import TrainConfig
from vitctl.train.program import run_numbers
from vitctl.train.run.device_images import as_images
from vitctl.train.run.images import Images


@dataclass(frozen=True)
class Seen:
    """One image of a batch.

    row        its place in the global batch
    id         the sample's name; None for made-up images, which have none
    key        the first 8 bytes of sha256(id) as a number: what digests count
    position   its place in the split
    epoch      how often all images had been seen before
    labels     names of its classes
    """

    row: int
    id: str | None
    key: int
    position: int
    epoch: int
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Replayed:
    """The first rows of the batch of `step`, of `batch` images in all.

    mixup   the weight w of mixup: the step learns from w · each image + (1 - w) · the one of the
            row before it (row 0: of the batch's last row), labels alike. None without mixup
    """

    step: int
    batch: int
    mixup: float | None
    images: tuple[Seen, ...]


@dataclass(frozen=True)
class Pixels:
    """What the images of a `Replayed` looked like: float32[n, h, w, 3] in [-1, 1].

    augmented   as they entered the step, bit for bit
    learnt      as the step learns from them: mixed, if it mixes
    """

    augmented: NDArray[np.float32]
    learnt: NDArray[np.float32]


def replay(images: Images, *, step: int, first: int | None = None) -> Replayed:
    """The batch of a step, or its first images; no image is decoded."""
    order = images.order_of_step(step - 1)
    keys = images.keys_of_step(step - 1)
    shown = len(keys) if first is None else min(first, len(keys))
    positions = order.indices[:shown]
    labels = images.dataset.labels(images.cfg.data.split)[positions]
    ids = images.dataset.ids(images.cfg.data.split, positions)
    return Replayed(
        step=step,
        batch=len(keys),
        mixup=mixup(images.cfg, step=step),
        images=tuple(
            Seen(
                row=row,
                id=ids[row],
                key=int(keys[row]),
                position=int(positions[row]),
                epoch=int(order.epochs[row]),
                labels=tuple(images.classes[label] for label in labels[row] if label >= 0),
            )
            for row in range(shown)
        ),
    )


def pixels(images: Images, replayed: Replayed) -> Pixels:
    """The images of `replay`, as training decoded and augmented them."""
    shown = len(replayed.images)
    # The last row, too: row 0 is mixed with it.
    rows = np.unique([*range(shown), replayed.batch - 1]).astype(np.int64)
    rows_of_images = as_images(images, images.batch_of_step(replayed.step - 1, rows=rows))
    return learnt(rows_of_images[:shown], last=rows_of_images[-1], mixup=replayed.mixup)


def learnt(
    augmented: NDArray[np.float32], *, last: NDArray[np.float32], mixup: float | None
) -> Pixels:
    """The first rows of a batch and what the step makes of them; `last` is the batch's last row."""
    if mixup is None:
        return Pixels(augmented, augmented)
    weight = np.float32(mixup)
    before = np.concatenate([last[None], augmented[:-1]])
    mixed = weight * augmented + (np.float32(1) - weight) * before
    return Pixels(augmented, mixed.astype(np.float32))


def mixup(cfg: TrainConfig, *, step: int) -> float | None:
    """The weight that a step mixes by; None if it doesn't."""
    alpha = cfg.data.augment.mixup_alpha
    if alpha is None:
        return None
    machine.devices()
    key = run_numbers.mixup_key(run_numbers.of(cfg).mixup, step - 1)
    return float(losses.mixup_weight(key, alpha=alpha))
