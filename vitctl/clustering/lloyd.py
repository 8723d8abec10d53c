"""Lloyd's iterations: every row to its nearest center, every center to the mean of its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from vitctl.clustering.nearest import Centers, nearest, squared_distances
from vitctl.clustering.sums import Sums, as_whole, bits_for

Gather = Callable[[NDArray[np.int64]], NDArray[np.int64]]
"""int64[...] of this process -> int64[processes, ...]."""


def alone(array: NDArray[np.int64]) -> NDArray[np.int64]:
    """The `Gather` of a single process."""
    return array[None]


class RowBlock(NamedTuple):
    """Rows that are read together: float32[b, d] with numbers up to 1 in size, and where they are
    among all rows, int64[b] ascending."""

    positions: NDArray[np.int64]
    rows: NDArray[np.float32]


class RowSource(Protocol):
    """What is clustered."""

    @property
    def count(self) -> int:
        """Rows of all processes."""

    def blocks(self) -> Iterable[RowBlock]:
        """Those of this process, the same ones in the same order at every call."""


@dataclass(frozen=True)
class FittedCenters:
    """After some iterations: centers, float64[k, d]; of each iteration the sum of squared distances
    from the centers that it began with; and how many clusters without rows were begun anew."""

    centers: NDArray[np.float64]
    inertias: tuple[float, ...] = ()
    reseeded: int = 0
    ended: bool = False


@dataclass
class Lloyd:
    """The iterations over some rows. What it remembers makes them faster and changes nothing: one
    that begins in the middle, from a `FittedCenters`, goes on with the same numbers.

    A center moves to the mean of its rows; if `spherical`, of length one. A cluster without rows
    takes the row that is farthest from its center (of equal ones the first) out of a cluster of two
    or more, the first such cluster the farthest row, and so on; one that finds none, and a mean of
    length zero, leave the center where it was.
    """

    rows: RowSource
    spherical: bool
    iterations: int
    tolerance: float
    gather: Gather = alone
    threads: Executor | None = None
    _positions: list[NDArray[np.int64]] = field(default_factory=list)
    _labels: list[NDArray[np.int32]] = field(default_factory=list)
    _sums: Sums | None = None
    _squares: float = 0.0

    def step(self, fit: FittedCenters) -> FittedCenters:
        """One iteration more. It is the last where the inertia falls by no more than `tolerance`
        of itself, and no cluster was begun anew, or where there were `iterations`."""
        sums = self._assigned(Centers.of(fit.centers))
        inertia = self._inertia(fit.centers, sums)
        empty = np.flatnonzero(sums.counts == 0)
        reseeded = self._reseed(fit.centers, sums, empty) if len(empty) else 0
        centers = self._moved(fit.centers, sums)
        inertias = (*fit.inertias, inertia)
        settled = (
            len(inertias) > 1
            and not reseeded
            and inertias[-2] - inertia <= self.tolerance * inertias[-2]
        )
        return FittedCenters(
            centers,
            inertias,
            fit.reseeded + reseeded,
            ended=settled or len(inertias) >= self.iterations,
        )

    def _assigned(self, centers: Centers) -> Sums:
        """Every row to its nearest center; the sums of all processes."""
        clusters, width = centers.exact.shape
        begins = self._sums is None
        if self._sums is None:
            self._sums = Sums.none(clusters, width, bits=bits_for(self.rows.count))
        squares, bits = 0, bits_for(self.rows.count, largest=width)
        for number, block in enumerate(self.rows.blocks()):
            labels = nearest(block.rows, centers, threads=self.threads)
            if begins:
                self._sums.add(block.rows, labels)
                lengths = np.square(block.rows, dtype=np.float64).sum(axis=1)
                squares += int(as_whole(lengths, bits=bits).sum())
                self._positions.append(block.positions)
                self._labels.append(labels)
                continue
            before = self._labels[number]
            moved = np.flatnonzero(labels != before)
            self._sums.add(block.rows[moved], before[moved], sign=-1)
            self._sums.add(block.rows[moved], labels[moved])
            self._labels[number] = labels
        if begins:
            self._squares = float(np.ldexp(float(self.gather(np.array([squares])).sum()), -bits))
        own = np.concatenate([self._sums.counts[:, None], self._sums.rows], axis=1)
        every = self.gather(own).sum(axis=0)
        return Sums(every[:, 0].copy(), every[:, 1:].copy(), self._sums.bits)

    def _inertia(self, centers: NDArray[np.float64], sums: Sums) -> float:
        """The sum over rows of |row|^2 - 2 row . center + |center|^2, of sums alone."""
        products = np.ldexp(sums.rows.astype(np.float64), -sums.bits) * centers
        lengths = sums.counts * np.square(centers).sum(axis=1)
        return max(0.0, self._squares - 2 * float(products.sum()) + float(lengths.sum()))

    def _moved(self, centers: NDArray[np.float64], sums: Sums) -> NDArray[np.float64]:
        means = sums.means()
        stays = sums.counts == 0
        if self.spherical:
            lengths = np.sqrt(np.square(means).sum(axis=1))
            stays |= lengths == 0
            means /= np.where(lengths > 0, lengths, 1.0)[:, None]
        return np.where(stays[:, None], centers, means)

    def _reseed(self, centers: NDArray[np.float64], sums: Sums, empty: NDArray[np.int64]) -> int:
        """Give clusters without rows the farthest rows of others; how many got one."""
        reseeded = 0
        for distance, position, label, row in self._farthest(centers, len(empty)):
            if reseeded == len(empty) or distance <= 0:
                break
            if sums.counts[label] < 2:
                continue
            cluster = np.array([empty[reseeded]], np.int32)
            for of in (sums, self._sums) if self._take(position, int(cluster[0])) else (sums,):
                assert of is not None
                of.add(row[None], np.array([label], np.int32), sign=-1)
                of.add(row[None], cluster)
            reseeded += 1
        return reseeded

    def _take(self, position: int, cluster: int) -> bool:
        """Label one row anew, if it is of this process."""
        for labels, positions in zip(self._labels, self._positions, strict=True):
            at = int(np.searchsorted(positions, position))
            if at < len(positions) and positions[at] == position:
                labels[at] = cluster
                return True
        return False

    def _farthest(
        self, centers: NDArray[np.float64], count: int
    ) -> list[tuple[float, int, int, NDArray[np.float32]]]:
        """(squared distance, position, label, row) of those farthest from their centers, of all
        processes, the farthest first."""
        count = min(count, self.rows.count)
        width = centers.shape[1]
        # A line each: distance, position, label and row, the floats as their bits.
        best = np.zeros((0, 3 + width), np.int64)
        for labels, block in zip(self._labels, self.rows.blocks(), strict=True):
            distances = np.concatenate(
                [
                    squared_distances(block.rows[at], centers[labels[at]])
                    for at in np.array_split(np.arange(len(labels)), len(labels) // 4096 + 1)
                ]
            )
            some = np.argsort(-distances, kind="stable")[:count]
            lines = np.empty((len(some), 3 + width), np.int64)
            lines[:, 0] = distances[some].view(np.int64)
            lines[:, 1] = block.positions[some]
            lines[:, 2] = labels[some]
            lines[:, 3:] = block.rows[some].astype(np.float64).view(np.int64)
            best = _first_lines(np.concatenate([best, lines]), count)
        padded = np.zeros((count, 3 + width), np.int64)
        padded[: len(best)] = best
        every = _first_lines(self.gather(padded).reshape(-1, 3 + width), count)
        return [
            (
                float(line[:1].view(np.float64)[0]),
                int(line[1]),
                int(line[2]),
                line[3:].view(np.float64).astype(np.float32),
            )
            for line in every
        ]


def _first_lines(lines: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    distances = np.ascontiguousarray(lines[:, 0]).view(np.float64)
    return lines[np.lexsort((lines[:, 1], -distances))[:count]]
