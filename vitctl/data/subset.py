"""Some images of a source, without a copy of any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitctl.data.columns import Column
from vitctl.data.config import AugmentConfig
from vitctl.data.dataset import DatasetInfo, SplitInfo
from vitctl.data.image_cost import ImageCost
from vitctl.data.image_source import ImageSource
from vitctl.data.read_clock import ReadClock
from vitctl.data.views import Request, View


@dataclass(frozen=True)
class Subset:
    """The images of `source` at `positions` (split -> int64[m]), in that order; splits that are not
    among them are as they were. Classes keep their numbers."""

    source: ImageSource
    positions: Mapping[str, NDArray[np.int64]]

    @property
    def info(self) -> DatasetInfo:
        whole = self.source.info
        splits = {
            split: SplitInfo(shard_lengths=(len(self.positions[split]),), record_bytes=0)
            if split in self.positions
            else info
            for split, info in whole.splits.items()
        }
        return whole.model_copy(update={"splits": splits})

    def keys(self, split: str) -> Column:
        return self._own(self.source.keys(split), split)

    def labels(self, split: str) -> Column:
        return self._own(self.source.labels(split), split)

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
        at = self.positions.get(split)
        theirs = ((indices if at is None else at[indices], seeds) for indices, seeds in requests)
        return self.source.images(
            theirs, split=split, view=view, batch=batch, workers=workers, clock=clock
        )

    def ids(self, split: str, positions: NDArray[np.int64]) -> Sequence[str | None]:
        at = self.positions.get(split)
        return self.source.ids(split, positions if at is None else at[positions])

    def image_cost(
        self, *, split: str, resolution: int, augment: AugmentConfig
    ) -> ImageCost | None:
        return self.source.image_cost(split=split, resolution=resolution, augment=augment)

    def _own(self, rows: Column, split: str) -> Column:
        return rows[self.positions[split]] if split in self.positions else rows
