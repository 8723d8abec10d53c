"""The images of a source under labels of their own, without a copy of any.

images-train.labels   int32[n, L] little-endian, padded with -1, as any dataset has them
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitctl.data.columns import Column
from vitctl.data.config import AugmentConfig
from vitctl.data.dataset import (
    DESCRIPTION,
    FORMAT_OF_LABELS,
    Dataset,
    DatasetInfo,
    SplitInfo,
    labels_name,
)
from vitctl.data.image_cost import ImageCost
from vitctl.data.image_source import ImageSource
from vitctl.data.order import Order
from vitctl.data.parts import DatasetRef, RelabelledInfo
from vitctl.data.read_clock import ReadClock
from vitctl.data.records import Records
from vitctl.data.views import Request, View


@dataclass(frozen=True)
class Relabelled:
    """See `ImageSource`: the images of `source`, in its order, in the splits and under the labels
    of `own`."""

    source: ImageSource
    own: Dataset

    @property
    def info(self) -> DatasetInfo:
        return self.own.info

    def keys(self, split: str) -> Column:
        return self._of(split).keys(split)

    def labels(self, split: str) -> Column:
        return self.own.labels(split)

    def order(self, split: str) -> Order:
        return self._of(split).order(split)

    def records(self, split: str) -> Records:
        return self._of(split).records(split)

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
        return self._of(split).images(
            requests, split=split, view=view, batch=batch, workers=workers, clock=clock
        )

    def ids(self, split: str, positions: NDArray[np.int64]) -> Sequence[str | None]:
        return self._of(split).ids(split, positions)

    def image_cost(
        self, *, split: str, resolution: int, augment: AugmentConfig
    ) -> ImageCost | None:
        return self._of(split).image_cost(split=split, resolution=resolution, augment=augment)

    def _of(self, split: str) -> ImageSource:
        """The source, for a split that is among those with labels; `NotFoundError` for another."""
        self.info.split(split)
        return self.source


def relabelled(
    labels: Mapping[str, NDArray[np.int32]], *, of: DatasetRef, classes: tuple[str, ...]
) -> DatasetInfo:
    """The description of the images of the dataset `of` in some splits, under int32[n, L] labels
    of `classes`, padded with -1."""
    most = max(rows.shape[1] for rows in labels.values())
    splits: dict[Any, SplitInfo] = {
        split: SplitInfo(shard_lengths=(len(rows),), record_bytes=0)
        for split, rows in labels.items()
    }
    return DatasetInfo(
        format=FORMAT_OF_LABELS,
        classes=classes,
        multi_label=most > 1,
        max_labels=most,
        splits=splits,
        relabelled=RelabelledInfo(dataset=of),
    )


def files_of(
    info: DatasetInfo, labels: Mapping[str, NDArray[np.int32]]
) -> Iterator[tuple[str, bytes]]:
    """The names and contents of the files of a relabelled dataset, the description last."""
    for split, rows in labels.items():
        yield labels_name(split), rows.astype("<i4").tobytes()
    yield DESCRIPTION, info.as_document()
