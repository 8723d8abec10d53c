"""What training, probing and scoring need of a set of images, wherever these come from.

    Dataset        a dataset artifact on disk       vitctl.data.dataset
    FormulaImages  pictures made when they are read vitctl.data.formula_images
    MockDataset    images made up by arithmetic     vitctl.data.mock
    Subset         some images of another source    vitctl.data.subset
    Relabelled     those of one under other labels  vitctl.data.relabelled
    HoldOutSource  a source, part of it held out    vitctl.data.held_out

Which example comes when is arithmetic on positions (`vitctl.data.order`), so a source answers for
positions in any order, as often as it is asked; nothing downstream knows which member it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vitctl.data.columns import Column
from vitctl.data.config import AugmentConfig
from vitctl.data.dataset import DatasetInfo
from vitctl.data.image_cost import ImageCost
from vitctl.data.order import Order
from vitctl.data.read_clock import ReadClock
from vitctl.data.records import Records
from vitctl.data.views import Request, View


@runtime_checkable
class ImageSource(Protocol):
    """Labelled images by split and position."""

    @property
    def info(self) -> DatasetInfo:
        """Classes and splits."""

    def keys(self, split: str) -> Column:
        """uint64[n]: the sample keys of a split in record order."""

    def labels(self, split: str) -> Column:
        """int32[n, L]: the class indices of a split in record order, padded with -1."""

    def order(self, split: str) -> Order:
        """In which order training takes the examples of a split."""

    def records(self, split: str) -> Records:
        """The encoded examples of a split; labels in them may be numbers of another list of
        classes than `info` has, `labels` are right. Raises `UsageError` where none are stored."""

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
        """One float32[b, h, w, 3] block in [-1, 1] a request, in order; it may read ahead.

        All requests but the last have `batch` rows. The result does not depend on `workers`
        (threads; None takes all cores). `clock` adds up the time spent reading. Raises
        `InputError` naming the image if one can't be used.
        """

    def ids(self, split: str, positions: NDArray[np.int64]) -> Sequence[str | None]:
        """The names of examples, None where they have none. Raises `InputError` for a damaged
        record."""

    def image_cost(
        self, *, split: str, resolution: int, augment: AugmentConfig
    ) -> ImageCost | None:
        """What an image of training costs this machine, measured; None where none is decoded."""
