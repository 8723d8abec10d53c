"""The images of several sources as one, without a copy of any: of each split those of the first,
then those of the second, and so on. Classes are one list, by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitctl.data.classes import class_mapping, map_labels
from vitctl.data.columns import Column, Computed, by_part, most_bytes_of
from vitctl.data.config import AugmentConfig
from vitctl.data.dataset import DatasetInfo
from vitctl.data.image_cost import ImageCost
from vitctl.data.image_source import ImageSource
from vitctl.data.mixed_order import Balanced, Mixed
from vitctl.data.order import Order, Shuffled
from vitctl.data.read_clock import ReadClock
from vitctl.data.records import JoinedRecords
from vitctl.data.views import Request, View
from vitctl.hardware.machine import available_cores


@dataclass(frozen=True)
class Mixture:
    """See `ImageSource`. Splits that a part lacks are those of the others."""

    parts: tuple[ImageSource, ...]
    info: DatasetInfo

    def keys(self, split: str) -> Column:
        return _joined([part.keys(split) for part in self._with(split)], what="sample keys")

    def labels(self, split: str) -> Column:
        return _joined([self._labels(part, split) for part in self._with(split)], what="labels")

    def order(self, split: str) -> Order:
        mixture = self.info.mixture
        assert mixture is not None
        if mixture.balanced:
            return Balanced(np.asarray(self.labels(split))[:, 0])
        if mixture.weights is None:
            return Shuffled(self.info.examples(split))
        pairs = [
            (part.order(split), weight)
            for part, weight in zip(self.parts, mixture.weights, strict=True)
            if split in part.info.splits
        ]
        return Mixed(tuple(order for order, _ in pairs), tuple(weight for _, weight in pairs))

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
        """See `ImageSource`; records of all parts, decoded as those of one dataset are."""
        from vitctl.data.decoding import record_images_in_order

        return record_images_in_order(
            lambda: self.records(split),
            requests,
            view=view,
            batch=batch,
            workers=workers or available_cores(),
            clock=clock,
        )

    def records(self, split: str) -> JoinedRecords:
        return JoinedRecords([part.records(split) for part in self._with(split)])

    def ids(self, split: str, positions: NDArray[np.int64]) -> Sequence[str | None]:
        parts = self._with(split)
        end_offsets = np.cumsum([part.info.examples(split) for part in parts])
        names: list[str | None] = [None] * len(positions)
        for number, places, own in by_part(end_offsets, positions):
            for place, name in zip(places.tolist(), parts[number].ids(split, own), strict=True):
                names[place] = name
        return names

    def image_cost(
        self, *, split: str, resolution: int, augment: AugmentConfig
    ) -> ImageCost | None:
        """That of the part with the most images."""
        largest = max(self._with(split), key=lambda part: part.info.examples(split))
        return largest.image_cost(split=split, resolution=resolution, augment=augment)

    def _with(self, split: str) -> list[ImageSource]:
        self.info.split(split)
        return [part for part in self.parts if split in part.info.splits]

    def _labels(self, part: ImageSource, split: str) -> Column:
        """int32[n, L] under the classes of all."""
        labels, width = part.labels(split), self.info.max_labels
        mapping = np.empty(0, np.int32)
        if part.info.classes:
            mapping = class_mapping(dataset=part.info.classes, model=self.info.classes)

        def mapped(rows: NDArray[np.int32]) -> NDArray[np.int32]:
            own = map_labels(rows, mapping) if len(mapping) else rows
            return np.pad(own, ((0, 0), (0, width - own.shape[1])), constant_values=-1)

        if isinstance(labels, np.ndarray):
            return mapped(labels)
        return Computed(
            len(labels),
            lambda at: mapped(labels[at]),
            what="labels",
            most_bytes=most_bytes_of(labels),
        )


def _joined(columns: Sequence[Column], *, what: str) -> Column:
    """One after the other; an array where all are."""
    if all(isinstance(column, np.ndarray) for column in columns):
        return np.concatenate([np.asarray(column) for column in columns])
    end_offsets = np.cumsum([len(column) for column in columns])

    def rows(positions: NDArray[np.int64]) -> NDArray[Any]:
        first = np.asarray(columns[0][np.zeros(1, np.int64)])
        out = np.empty((len(positions), *first.shape[1:]), first.dtype)
        for number, places, own in by_part(end_offsets, positions):
            out[places] = columns[number][own]
        return out

    return Computed(int(end_offsets[-1]), rows, what=what, most_bytes=most_bytes_of(*columns))
