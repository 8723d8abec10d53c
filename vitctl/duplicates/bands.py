"""Which of many 64-bit hashes differ from another in at most t bits, without comparing all.

Multi-index hashing (Norouzi, Punjani and Fleet 2012, https://arxiv.org/abs/1307.2982): the bits are
cut into m bands. Of two hashes that differ in t = m r + a bits, one of the first a + 1 bands
differs in at most r, or one of the others in at most r - 1: so each band is looked up in a table as
it is, and with every change of so few bits. m is the number that is expected to cost least; with
about 2^b hashes for bands of b bits a bucket holds one, and the whole takes time in proportion to
the number of hashes.

A bucket that holds more than `MOST_IN_BUCKET` hashes is skipped: hashes that have so much in common
would be compared each with each. The other bands of such a pair are still looked up, and
`Lookup.crowded` counts. Equal hashes are to be united before (`matching` does), so that a hundred
thousand copies of a picture are one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from math import comb

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

BITS = 64
MOST_IN_BUCKET = 5_000
_WIDEST = 22
"""Bits of a band: its table has 2^22 numbers, 16 MiB."""
_BLOCK = 1 << 20
"""Pairs that are compared at a time."""
_PROBE = 1.5
"""What looking up one bucket costs, relative to comparing one pair (measured)."""


@dataclass(frozen=True)
class BitBand:
    """Bits `shift` to `shift + width` of hashes.

    Attributes:
      radius: how many of them may differ.
      first: int[2^width + 1], where in `entries` each value begins.
      entries: int[n], positions of hashes by the value they have here.
      values: uint64[n], the hashes in that order, so that a bucket lies in one piece.
    """

    shift: int
    width: int
    radius: int
    first: NDArray[np.int64]
    entries: NDArray[np.int64]
    values: Hashes


@dataclass
class Lookup:
    """Hashes that are looked up by nearness. `distance` t: the most bits that may differ."""

    hashes: Hashes
    distance: int
    bands: tuple[BitBand, ...] = field(init=False)
    crowded: int = 0
    """Lookups that skipped a bucket."""

    def __post_init__(self) -> None:
        self.bands = tuple(
            _band(self.hashes, shift, width, radius)
            for shift, width, radius in cut(self.distance, hashes=len(self.hashes))
        )

    def near(
        self, queries: Hashes
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]]:
        """(query, entry, bits that differ) of all pairs within the distance, in blocks of bounded
        size; a pair comes once for each band by which it is known."""
        if not len(self.hashes) or not len(queries):
            return
        for band in self.bands:
            own = (queries >> np.uint64(band.shift)) & np.uint64((1 << band.width) - 1)
            own = own.astype(np.int64)
            for change in _changes(band.width, band.radius):
                value = own ^ change
                begin = band.first[value]
                counts = band.first[value + 1] - begin
                full = counts > MOST_IN_BUCKET
                if full.any():
                    self.crowded += int(full.sum())
                    counts[full] = 0
                yield from self._compared(queries, begin, counts, band)

    def _compared(
        self, queries: Hashes, begin: NDArray[np.int64], counts: NDArray[np.int64], band: BitBand
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]]:
        rows = np.flatnonzero(counts)
        if not len(rows):
            return
        begin, counts = begin[rows], counts[rows]
        stops = np.cumsum(counts)
        blocks = np.searchsorted(stops, np.arange(_BLOCK, stops[-1], _BLOCK)) + 1
        for part in np.split(np.arange(len(rows)), np.unique(blocks)):
            if not len(part):
                continue
            many, of = counts[part], np.repeat(part, counts[part])
            within = np.arange(len(of)) - np.repeat(np.cumsum(many) - many, many)
            at = begin[of] + within
            query = rows[of]
            differ = np.bitwise_count(band.values[at] ^ queries[query])
            near = np.flatnonzero(differ <= self.distance)
            if len(near):
                yield query[near], band.entries[at[near]], differ[near]


def cut(distance: int, *, hashes: int) -> list[tuple[int, int, int]]:
    """(shift, width, radius) of the bands that are expected to cost least."""
    choices = []
    for number in range(-(-BITS // _WIDEST), BITS + 1):
        bands = _even(distance, number)
        cost = sum(
            sum(comb(width, bits) for bits in range(radius + 1)) * (_PROBE + hashes / 2**width)
            for _, width, radius in bands
        )
        choices.append((cost, bands))
    return min(choices)[1]


def _even(distance: int, number: int) -> list[tuple[int, int, int]]:
    """So many bands of nearly one width; those of radius -1, which no pair needs, left out."""
    radius, rest = divmod(distance, number)
    edges = [BITS * band // number for band in range(number + 1)]
    bands = [
        (low, high - low, radius if band <= rest else radius - 1)
        for band, (low, high) in enumerate(pairwise(edges))
    ]
    return [band for band in bands if band[2] >= 0]


def _band(hashes: Hashes, shift: int, width: int, radius: int) -> BitBand:
    value = ((hashes >> np.uint64(shift)) & np.uint64((1 << width) - 1)).astype(np.int64)
    entries = np.argsort(value, kind="stable")
    counts = np.bincount(value, minlength=1 << width)
    first = np.concatenate([[0], np.cumsum(counts)])
    return BitBand(shift, width, radius, first, entries, hashes[entries])


def _changes(width: int, radius: int) -> list[int]:
    """All numbers of `width` bits of which at most `radius` are 1."""
    return [
        sum(1 << bit for bit in bits)
        for count in range(radius + 1)
        for bits in combinations(range(width), count)
    ]
