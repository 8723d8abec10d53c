"""Formula images that are made when they are read: a dataset without a byte of images on disk.

Position p of a split is picture p // classes of class p % classes, so that a set of more pictures a
class begins with the smaller one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitctl.data.columns import Computed
from vitctl.data.config import AugmentConfig
from vitctl.data.dataset import DatasetInfo, SplitInfo
from vitctl.data.example import Example, encode_example
from vitctl.data.image_cost import ImageCost
from vitctl.data.order import Shuffled, hash64
from vitctl.data.read_clock import ReadClock
from vitctl.data.records import Records
from vitctl.data.views import Request, TrainView, View
from vitctl.formula.cropped_images import DRAWN
from vitctl.formula.family import FAMILIES, FormulaConfig
from vitctl.formula.maker import BLOCK, HostMaker, labels_of
from vitctl.formula.png import as_png
from vitctl.hardware.machine import available_cores

_TAG_KEY = 110
_MEASURED = 32


def described(config: FormulaConfig) -> DatasetInfo:
    """The description of a set that is made when it is read."""
    return DatasetInfo(
        classes=tuple(config.class_name(index) for index in range(config.classes)),
        multi_label=config.max_labels > 1,
        max_labels=config.max_labels,
        splits={
            split: SplitInfo(shard_lengths=(config.pictures(split),), record_bytes=0)
            for split in ("train", "val")
            if config.pictures(split)
        },
        formula=config,
    )


@dataclass(frozen=True)
class FormulaImages:
    """See `ImageSource`."""

    info: DatasetInfo
    config: FormulaConfig

    @cached_property
    def maker(self) -> HostMaker:
        return HostMaker(self.config)

    def keys(self, split: str) -> Computed:
        """A hash of (family, seed, class, instance)."""
        family = FAMILIES.index(self.config.family)

        def rows(positions: NDArray[np.int64]) -> NDArray[np.uint64]:
            classes, instances = self.named(split, positions)
            return hash64(self.config.seed, family, classes, instances, tag=_TAG_KEY)

        return Computed(self.info.examples(split), rows, what="sample keys")

    def labels(self, split: str) -> Computed:
        def rows(positions: NDArray[np.int64]) -> NDArray[np.int32]:
            return labels_of(self.config, *self.named(split, positions))

        return Computed(self.info.examples(split), rows, what="labels")

    def named(
        self, split: str, positions: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """int64[b] class and instance at each position."""
        instances, classes = np.divmod(positions, self.config.classes)
        return classes, instances + self.config.first_instance(split)

    def order(self, split: str) -> Shuffled:
        return Shuffled(self.info.examples(split))

    def records(self, split: str) -> Records:
        """Examples with the pictures as PNG, made when they are read."""
        return _PictureRecords(self, split)

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
        """See `ImageSource`; made by NumPy in `workers` threads, then seen as decoded images are,
        by TensorFlow (5 to 10 s to import) or, few of them, by NumPy."""
        from vitctl.data.decoding import images_in_order

        workers = workers or available_cores()
        return images_in_order(
            lambda: _Pictures(self, split, workers=workers),
            requests,
            view=view,
            batch=batch,
            workers=workers,
            clock=clock,
        )

    def drawn(
        self,
        requests: Iterable[Request],
        *,
        split: str,
        view: TrainView,
        batch: int,
        workers: int | None = None,
        clock: ReadClock | None = None,
    ) -> Iterator[NDArray[np.int32]]:
        """As `images`, but what a device makes them of (`vitctl.formula.cropped_images`): one
        int32[b, 7] block a request of class, instance, window and flip, the draws of `images`."""
        from vitctl.data.tf_pipeline import images_in_order

        size, augment = self.config.resolution, view.augment
        return images_in_order(
            lambda: _Named(self, split),
            requests,
            batch=batch,
            function=lambda named, seed: named_and_seen(named, seed, size=size, augment=augment),
            workers=workers or available_cores(),
            clock=clock,
        )

    def pictures(self, split: str, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """uint8[b, r, r, 3]: the pictures themselves."""
        return self.maker.pictures(*self.named(split, positions))

    def ids(self, split: str, positions: NDArray[np.int64]) -> Sequence[str]:
        self.info.split(split)
        classes, instances = self.named(split, positions)
        return [
            self.config.picture_id(int(index), int(instance))
            for index, instance in zip(classes, instances, strict=True)
        ]

    def image_cost(
        self, *, split: str, resolution: int, augment: AugmentConfig
    ) -> ImageCost | None:
        """None: making a picture is measured by the training itself."""
        return None


@dataclass(frozen=True)
class _PictureRecords:
    """Pictures of a split, encoded."""

    source: FormulaImages
    split: str

    def stored(self) -> NDArray[np.int64]:
        return np.empty(0, np.int64)

    def __len__(self) -> int:
        return self.source.info.examples(self.split)

    def read(self, indices: NDArray[np.int64]) -> list[bytes]:
        labels = self.source.labels(self.split)[indices]
        return [
            encode_example(Example(as_png(picture), tuple(row[row >= 0].tolist()), id))
            for picture, row, id in zip(
                self.source.pictures(self.split, indices),
                labels,
                self.source.ids(self.split, indices),
                strict=True,
            )
        ]

    def locate(self, index: int) -> tuple[Path, int]:
        return Path("formula"), index

    def close(self) -> None:
        """Nothing is open."""


def named_and_seen(named: Any, seed: Any, *, size: int, augment: AugmentConfig) -> Any:
    """string[] of two int32, and int32[2] -> int32[7], in TensorFlow."""
    from vitctl.data.preprocess import window_and_flip
    from vitctl.data.tensorflow import load_tensorflow

    tf = load_tensorflow()
    pair = tf.io.decode_raw(named, tf.int32, little_endian=sys.byteorder == "little")
    row = tf.concat([pair, window_and_flip(seed, size=size, augment=augment)], 0)
    row.set_shape([DRAWN])
    return row


class _Named:
    """Class and instance of pictures, in place of images that `images_in_order` reads."""

    shape: tuple[int, ...] = ()

    def __init__(self, source: FormulaImages, split: str) -> None:
        self._source = source
        self._split = split

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.object_]:
        pairs = np.stack(self._source.named(self._split, indices), axis=1).astype(np.int32)
        named = np.empty(len(indices), object)
        named[:] = [pair.tobytes() for pair in pairs]
        return named

    def culprit(self, indices: NDArray[np.int64], error: Exception) -> Exception:
        return error

    def close(self) -> None:
        """Nothing is open."""


class _Pictures:
    """Pictures of a split, as `images_in_order` reads them."""

    def __init__(self, source: FormulaImages, split: str, *, workers: int) -> None:
        self._source = source
        # Before there are threads, of which each would draw the classes.
        self._maker = source.maker
        self._split = split
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="formula")

    @property
    def shape(self) -> tuple[int, int, int]:
        size = self._source.config.resolution
        return (size, size, 3)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        named = self._source.named
        blocks = [indices[i : i + BLOCK] for i in range(0, len(indices), BLOCK)]
        return np.concatenate(
            list(
                self._pool.map(
                    lambda block: self._maker.pictures(*named(self._split, block)), blocks
                )
            )
        )

    def culprit(self, indices: NDArray[np.int64], error: Exception) -> Exception:
        return error

    def close(self) -> None:
        self._pool.shutdown()
