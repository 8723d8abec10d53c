"""A part of the images to train on that is held out, to choose settings by: never the test set's.

Which images is a function of their labels and ids alone, so every run on a dataset holds out the
same ones, whatever its seed. They are spread over the classes as the images are: sorted by class
and within a class by a hash of their keys, every (1 / share)-th is taken, beginning in the middle
of the first such stretch. So a class gets its share to within one image. (Systematic sampling from
a sorted list; W. Cochran, "Sampling Techniques", chapter 8.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitctl.data import selection
from vitctl.data.columns import Column
from vitctl.data.config import HELD_OUT, AugmentConfig, held_out_count
from vitctl.data.dataset import DatasetInfo, SplitInfo
from vitctl.data.image_cost import ImageCost
from vitctl.data.image_source import ImageSource
from vitctl.data.order import Order
from vitctl.data.read_clock import ReadClock
from vitctl.data.records import Records
from vitctl.data.subset import Subset
from vitctl.data.views import Request, View
from vitctl.errors import UsageError

_SEED = 0


def hold_out(source: ImageSource, *, split: str, share: float) -> HoldOutSource:
    """`source` with this share of `split`, at least one image, as the split `HELD_OUT`.

    Raises UsageError where nothing would be left to train on.
    """
    rows = held_out_rows(
        np.asarray(source.keys(split)), np.asarray(source.labels(split)), share=share
    )
    whole = source.info.examples(split)
    if len(rows) == whole:
        raise UsageError(
            f"holding out {share:g} of {whole:,} images leaves none to train on",
            hint="hold out fewer: --hold-out 0.02",
        )
    rest = np.delete(np.arange(whole), rows)
    return HoldOutSource(
        training=_subset(source, split, rest), scored=_subset(source, split, rows), split=split
    )


def held_out_rows(
    keys: NDArray[np.uint64], labels: NDArray[np.int32], *, share: float
) -> NDArray[np.int64]:
    """int64[m] positions, ascending; `labels` int32[n, L], of which the first counts.

    The share is of different images: one that a mixture of overlapping datasets has several times,
    with one key, is held out as a whole or trained on as a whole.
    """
    by_hash = selection.rank(keys, seed=_SEED)
    again = np.zeros(len(keys), np.bool_)
    again[1:] = keys[by_hash[1:]] == keys[by_hash[:-1]]
    images = by_hash[~again]
    ordered = images[np.argsort(labels[images, 0], kind="stable")]
    count = held_out_count(len(images), share=share)
    middles = np.floor((np.arange(count) + 0.5) * len(images) / count).astype(np.int64)
    rows = np.sort(ordered[middles])
    return np.flatnonzero(np.isin(keys, keys[rows])) if again.any() else rows


@dataclass(frozen=True)
class HoldOutSource:
    """`training` has all splits of a source, `split` without what is held out; `scored` has in
    that split what is held out, here by the name `HELD_OUT`."""

    training: Subset
    scored: Subset
    split: str

    @property
    def info(self) -> DatasetInfo:
        info = self.training.info
        splits: dict[Any, SplitInfo] = {
            **info.splits,
            HELD_OUT: self.scored.info.split(self.split),
        }
        return info.model_copy(update={"splits": splits})

    def _of(self, split: str) -> tuple[Subset, str]:
        return (self.scored, self.split) if split == HELD_OUT else (self.training, split)

    def keys(self, split: str) -> Column:
        source, split = self._of(split)
        return source.keys(split)

    def labels(self, split: str) -> Column:
        source, split = self._of(split)
        return source.labels(split)

    def order(self, split: str) -> Order:
        source, split = self._of(split)
        return source.order(split)

    def records(self, split: str) -> Records:
        source, split = self._of(split)
        return source.records(split)

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
        source, split = self._of(split)
        return source.images(
            requests, split=split, view=view, batch=batch, workers=workers, clock=clock
        )

    def ids(self, split: str, positions: NDArray[np.int64]) -> Sequence[str | None]:
        source, split = self._of(split)
        return source.ids(split, positions)

    def image_cost(
        self, *, split: str, resolution: int, augment: AugmentConfig
    ) -> ImageCost | None:
        source, split = self._of(split)
        return source.image_cost(split=split, resolution=resolution, augment=augment)


def _subset(source: ImageSource, split: str, rows: NDArray[np.int64]) -> Subset:
    info = source.info
    whole = info.split(split)
    some = SplitInfo(
        shard_lengths=(len(rows),),
        record_bytes=whole.record_bytes * len(rows) // max(1, whole.examples),
    )
    splits: dict[Any, SplitInfo] = {**info.splits, split: some}
    return Subset(source, {split: rows}, info.model_copy(update={"splits": splits}))
