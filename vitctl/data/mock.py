"""Synthetic images for `--mock`, tests and benchmarks: numpy only, nothing on disk.

An image is its class's coloured 4 x 4 checker, plus noise of its own, so that a model can learn the
classes and a loss falls; it is a function of (dataset seed, sample key, augmentation seed).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitctl.data.config import MOCK_SPLITS, AugmentConfig
from vitctl.data.dataset import DatasetInfo, SplitInfo
from vitctl.data.order import Shuffled, hash64, mix64
from vitctl.data.read_clock import ReadClock
from vitctl.data.records import Records
from vitctl.data.views import Request, View
from vitctl.errors import UsageError

_CELLS = 4
_NOISES = 16
_TAG_KEY, _TAG_LABEL, _TAG_CLASS, _TAG_NOISE = 101, 102, 103, 104


@dataclass(frozen=True)
class MockDataset:
    """Stands in for a dataset on disk: the same description, keys, labels and batches."""

    classes: int = 10
    train_examples: int = 10_000
    val_examples: int = 1_000
    seed: int = 0
    noise: float = 0.5
    """Weight of the noise against the class pattern, 0 to 1."""

    @property
    def info(self) -> DatasetInfo:
        return DatasetInfo(
            classes=tuple(str(i) for i in range(self.classes)),
            splits={
                split: SplitInfo(shard_lengths=(examples,), record_bytes=0)
                for split, examples in zip(
                    MOCK_SPLITS, (self.train_examples, self.val_examples), strict=True
                )
            },
        )

    def keys(self, split: str) -> NDArray[np.uint64]:
        examples = self.info.examples(split)
        return hash64(self.seed, split == "val", np.arange(examples), tag=_TAG_KEY)

    def labels(self, split: str) -> NDArray[np.int32]:
        bits = hash64(self.seed, self.keys(split), tag=_TAG_LABEL)
        return (bits % np.uint64(self.classes)).astype(np.int32)[:, None]

    def order(self, split: str) -> Shuffled:
        return Shuffled(self.info.examples(split))

    def records(self, split: str) -> Records:
        """None are stored."""
        raise UsageError("synthetic images are not stored")

    def images(
        self,
        requests: Iterable[Request],
        *,
        split: str,
        view: View,
        batch: int,
        workers: int | None = None,
        clock: ReadClock | None = None,
    ) -> Iterator[NDArray[np.float32]]:
        """See `ImageSource`; they are made at the resolution of the view, by one thread."""
        del batch, workers, clock
        return self.made_up(requests, split=split, resolution=view.resolution)

    def ids(self, split: str, positions: NDArray[np.int64]) -> Sequence[None]:
        """None: made-up images have no names."""
        return [None] * len(positions)

    def image_cost(self, *, split: str, resolution: int, augment: AugmentConfig) -> None:
        """None: no image is decoded."""

    def made_up(
        self, requests: Iterable[Request], *, split: str, resolution: int
    ) -> Iterator[NDArray[np.float32]]:
        """One float32[b, r, r, 3] block a request."""
        keys, labels = self.keys(split), self.labels(split)[:, 0]
        patterns = _uniform(
            hash64(self.seed, np.arange(self.classes * _CELLS * _CELLS * 3), tag=_TAG_CLASS)
        ).reshape(self.classes, _CELLS, _CELLS, 3)
        noises = _uniform(
            hash64(self.seed, np.arange(_NOISES * resolution * resolution * 3), tag=_TAG_NOISE)
        ).reshape(_NOISES, resolution, resolution, 3)
        # Which cell each pixel lies in; resolutions that 4 doesn't divide are fine.
        cell = np.arange(resolution) * _CELLS // resolution
        noises *= np.float32(self.noise)
        patterns *= np.float32(1 - self.noise)
        for indices, seeds in requests:
            own = mix64(keys[indices] ^ np.ascontiguousarray(seeds).view(np.uint64)[:, 0])
            block = patterns[labels[indices]][:, cell][:, :, cell]
            block += noises[(own % np.uint64(_NOISES)).astype(np.int64)]
            yield block


def _uniform(bits: NDArray[np.uint64]) -> NDArray[np.float32]:
    """float32 in [-1, 1) from the upper 24 bits."""
    return (bits >> np.uint64(40)).astype(np.float32) * np.float32(2**-23) - np.float32(1)
