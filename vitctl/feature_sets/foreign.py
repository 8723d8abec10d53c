"""Features that other programs computed, in memory; `ingest.sources.feature_files` reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitctl.feature_sets.contract import no_split


@dataclass(frozen=True)
class ForeignFeatures:
    """A `FeatureSource`: arrays.

    name     what results call it: of the file or folder, without its ending
    sha256   of the files: what decides a result
    reading  which array was taken for what, as a phrase
    splits   float32[n, width] features and int32[n, 1] labels
    """

    name: str
    sha256: str
    reading: str
    classes: tuple[str, ...]
    splits: Mapping[str, tuple[NDArray[np.float32], NDArray[np.int32]]]

    @property
    def width(self) -> int:
        return next(iter(self.splits.values()))[0].shape[1]

    def labels(self, split: str) -> NDArray[np.int32]:
        return self._of(split)[1]

    def rows(
        self,
        split: str,
        positions: NDArray[np.int64],
        *,
        progress: Callable[[int], None] = lambda done: None,
    ) -> NDArray[np.float32]:
        rows = self._of(split)[0][positions]
        progress(len(rows))
        return rows

    def _of(self, split: str) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        if split not in self.splits:
            raise no_split(split, of=self.name, splits=self.splits)
        return self.splits[split]
