"""Blocks of features as the iterations read them, a share of them in each process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from stages.cluster.features import Features
from vitctl import processes
from vitctl.clustering.lloyd import RowBlock
from vitctl.clustering.normalize import Normalizer
from vitctl.clustering.sums import as_whole, bits_for
from vitctl.data.image_source import ImageSource
from vitctl.errors import InputError
from vitctl.feature_sets import stored
from vitctl.processes.arrays import gather_array
from vitctl.recipes.embedded import check_finite

_CACHED_BYTES = 2**30
"""Rows of a process that stay in memory between iterations; more are read again at each."""


class SplitRows:
    """Rows of a split at `positions`, int64[n] ascending, those of a stored part together. Process
    i of P has every P-th block."""

    def __init__(
        self, features: Features, source: ImageSource, split: str, positions: NDArray[np.int64]
    ) -> None:
        self._features, self._source, self._split = features, source, split
        a_block = stored.rows_a_part(features.rows.width)
        cuts = np.flatnonzero(np.diff(positions // a_block)) + 1
        every = np.split(positions, cuts)
        self._own = every[processes.index() :: processes.count()]
        self.count = len(positions)

    def raw(self) -> Iterator[RowBlock]:
        """As they were computed. Raises InputError for one that is not finite."""
        for positions in self._own:
            rows = self._features.rows.rows(self._split, positions)
            check_finite(
                rows,
                positions,
                split=self._split,
                dataset=self._source,
                hint="the model has diverged, or the file is damaged: take other features",
            )
            yield RowBlock(positions, rows)
            processes.mark("score")


class NormalizedRows:
    """A `vitctl.clustering.lloyd.RowSource`: those of a `SplitRows`, which stay in memory where
    there is room."""

    def __init__(self, rows: SplitRows, normalizer: Normalizer, *, width: int) -> None:
        self._rows, self._normalizer = rows, normalizer
        self.count = rows.count
        fits = 4 * width * rows.count <= _CACHED_BYTES * processes.count()
        self._cached: list[RowBlock] | None = [*self._read()] if fits else None

    def blocks(self) -> Iterable[RowBlock]:
        return self._read() if self._cached is None else self._cached

    def _read(self) -> Iterator[RowBlock]:
        for positions, rows in self._rows.raw():
            yield RowBlock(positions, self._normalizer(rows))


def normalizer_of(rows: SplitRows, *, width: int, spherical: bool) -> Normalizer:
    """Of the rows of all processes, with an exact mean.

    Raises InputError where all rows are the same.
    """
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    for block in rows.raw():
        low = np.minimum(low, block.rows.min(axis=0))
        high = np.maximum(high, block.rows.max(axis=0))
    extremes = gather_array(np.stack([low, high]).view(np.int64)).view(np.float64)
    low, high = extremes[:, 0].min(axis=0), extremes[:, 1].max(axis=0)
    if (low == high).all():
        raise InputError(
            "all images have the same features, so nothing tells them apart",
            hint="take other features: another model or layer (--at), or --pixels 16",
        )
    largest = float(max(-low.min(), high.max()))
    bits = bits_for(rows.count)
    total = np.zeros(width, np.int64)
    for block in rows.raw():
        for first in range(0, len(block.rows), 4096):
            total += as_whole(block.rows[first : first + 4096] / largest, bits=bits).sum(axis=0)
    total = gather_array(total).sum(axis=0)
    mean = np.ldexp(total.astype(np.float64), -bits) * (largest / rows.count)
    # No row is further from the mean than its own size and the mean's.
    return Normalizer(mean, 2 * largest, spherical)
