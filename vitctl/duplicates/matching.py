"""Which images match one of others (`Against`), or an earlier one of their own dataset (`within`).

Of two images the surest way in which they are equal counts: by bytes, by pixels, nearly. Nearly is:
at most `distance` of 64 bits of how they look differ (`hashes`), between the whole of one and the
whole or a part of the other. Flat pictures, and those that can't be decoded, match exactly or not
at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vitctl.duplicates import hashes
from vitctl.duplicates.bands import BITS, Lookup
from vitctl.duplicates.prints import Prints

Rows = NDArray[np.int64]
How = Literal["bytes", "pixels", "near"]
HOW: tuple[How, ...] = ("bytes", "pixels", "near")
NONE = -1

_CHUNK = 8192
_MOST_PAIRS = 1 << 23
_FAR = np.int64(2**62)
_ENTRY_BITS = np.int64(48)


@dataclass(frozen=True)
class Rules:
    """What counts as near.

    distance  bits of 64 that may differ; None compares bytes and pixels only
    reach     distances up to this are counted, though they are no match
    crop      compare parts, too
    flip      compare with the mirror image, too
    """

    distance: int | None
    reach: int = 0
    crop: bool = True
    flip: bool = False

    @property
    def most(self) -> int:
        return max(self.distance or 0, self.reach)


@dataclass(frozen=True)
class Matches:
    """Of n images, the row of what each matches (`NONE` where it matches nothing).

    Attributes:
      entry: int64[n].
      how: uint8[n], an index of `HOW`; means nothing where there is no match.
      bits: uint8[n], how many differ from that match, 0 of exact ones.
      nearest: uint8[n], how many differ from the nearest that it was compared with, be that a match
        or not; 65 where that is more than was looked for.
    """

    entry: Rows
    how: NDArray[np.uint8]
    bits: NDArray[np.uint8]
    nearest: NDArray[np.uint8]

    @staticmethod
    def none(count: int) -> Matches:
        far = np.full(count, BITS + 1, np.uint8)
        return Matches(np.full(count, NONE, np.int64), np.zeros(count, np.uint8), far, far.copy())

    @property
    def any(self) -> NDArray[np.bool_]:
        return self.entry != NONE


class Against:
    """Images that others are compared with."""

    def __init__(self, others: Prints, rules: Rules) -> None:
        self._rules = rules
        self._bytes = _Exact(others["bytes"], np.ones(len(others), bool))
        self._pixels = _Exact(others["pixels"], others["readable"])
        self._units = _units(others)
        self._near = None if rules.distance is None else _Near(others["looks"][self._units], rules)

    @property
    def crowded(self) -> int:
        return 0 if self._near is None else self._near.crowded

    def matches(self, prints: Prints) -> Matches:
        """Of each image, the match that is equal in the surest way, and is the nearest of those,
        and the first of those."""
        result = Matches.none(len(prints))
        if self._near is not None:
            rows = np.flatnonzero(prints["readable"] & ~prints["flat"])
            best = np.full(len(rows), _FAR)
            for query, unit, bits in self._near.pairs(prints["looks"][rows]):
                np.minimum.at(best, query, _packed(bits, unit))
            rows, best = rows[best < _FAR], best[best < _FAR]
            result.nearest[rows], unit = _unpacked(best)
            match = result.nearest[rows] <= (self._rules.distance or 0)
            _set(result, rows[match], "near", self._units[unit[match]], result.nearest[rows[match]])
        for name, exact, usable in (
            ("pixels", self._pixels, prints["readable"]),
            ("bytes", self._bytes, np.ones(len(prints), bool)),
        ):
            same = exact.first(prints[name])
            equal = np.flatnonzero(usable & (same != NONE))
            _set(result, equal, name, same[equal], 0)
        return result


def within(
    prints: Prints, rules: Rules, *, progress: Callable[[int], None] = lambda done: None
) -> tuple[Matches, int]:
    """Of each image, an earlier one that it matches, and how many lookups were crowded.

    What has an equal one stays or goes with the first of them. Near ones are taken in the order of
    rows: an image goes if one that stays is near it. So of a chain of pictures (of a film, say) of
    which only neighbours are near, more than the first stay, and for each that goes there is one
    near it that stays, or equal to it and near one.
    """
    result = Matches.none(len(prints))
    crowded = 0
    if rules.distance is not None:
        units, of_rows = _grouped(prints)
        unit_entry, unit_bits, nearest, crowded = _greedy(
            prints["looks"][units], rules, progress=progress
        )
        rows = np.flatnonzero(of_rows != NONE)
        unit = of_rows[rows]
        first = units[unit]
        result.nearest[rows] = nearest[unit]
        match = unit_entry[unit] != NONE
        _set(
            result,
            rows[match],
            "near",
            units[unit_entry[unit[match]]],
            unit_bits[unit[match]],
        )
        repeated = first < rows
        _set(result, rows[repeated], "near", first[repeated], 0)
    everything = np.arange(len(prints))
    for name, usable in (("pixels", prints["readable"]), ("bytes", np.ones(len(prints), bool))):
        same = _Exact(prints[name], usable).first(prints[name])
        equal = np.flatnonzero(usable & (same != NONE) & (same < everything))
        _set(result, equal, name, same[equal], 0)
    return result, crowded


def _set(
    result: Matches, rows: Rows, how: str, entry: Rows, bits: NDArray[np.uint8] | Literal[0]
) -> None:
    """Put down matches of `rows`, which take the place of less sure ones."""
    result.entry[rows], result.bits[rows] = entry, bits
    result.how[rows] = HOW.index(how)
    result.nearest[rows] = np.minimum(result.nearest[rows], bits)


def _greedy(
    looks: NDArray[np.uint64], rules: Rules, *, progress: Callable[[int], None]
) -> tuple[Rows, NDArray[np.uint8], NDArray[np.uint8], int]:
    """Of hashes in the order of rows: an earlier one near it that stays (`NONE` of those that stay
    themselves), its bits, the fewest bits to any earlier one, and the crowded lookups."""
    near = _Near(looks, rules)
    distance = rules.distance or 0
    best = np.full(len(looks), _FAR)
    nearest = np.full(len(looks), BITS + 1, np.uint8)
    for begin in range(0, len(looks), _CHUNK):
        chunk = looks[begin : begin + _CHUNK]
        pending: list[Rows] = []
        size = 0
        for query, unit, bits in near.pairs(chunk):
            own = begin + query
            earlier = unit < own
            own, unit, bits = own[earlier], unit[earlier], bits[earlier]
            np.minimum.at(nearest, own, bits)
            match = bits <= distance
            own, unit, bits = own[match], unit[match], bits[match]
            settled = unit < begin
            stays = settled & (best[unit] == _FAR)
            np.minimum.at(best, own[stays], _packed(bits[stays], unit[stays]))
            if not settled.all():
                pair = ((own - begin)[~settled] * _CHUNK + (unit - begin)[~settled]) * (BITS + 1)
                pending.append(np.unique(pair + bits[~settled]))
                size += len(pending[-1])
                if size > _MOST_PAIRS:
                    pending = [np.unique(np.concatenate(pending))]
                    size = len(pending[0])
        if pending:
            _settle(best, np.unique(np.concatenate(pending)), begin=begin)
        progress(min(begin + _CHUNK, len(looks)))
    entry = np.full(len(looks), NONE, np.int64)
    bits_of = np.full(len(looks), BITS + 1, np.uint8)
    goes = best < _FAR
    bits_of[goes], entry[goes] = _unpacked(best[goes])
    return entry, bits_of, nearest, near.crowded


def _settle(best: Rows, pairs: Rows, *, begin: int) -> None:
    """Decide on the hashes of one chunk by the pairs inside it, in their order."""
    pair, bits = np.divmod(pairs, BITS + 1)
    own, unit = np.divmod(pair, _CHUNK)
    edges = np.flatnonzero(np.diff(own, prepend=-1, append=_CHUNK))
    for low, high in pairwise(edges):
        earlier = unit[low:high] + begin
        stays = best[earlier] == _FAR
        if stays.any():
            row = own[low] + begin
            best[row] = min(best[row], _packed(bits[low:high][stays], earlier[stays]).min())


class _Near:
    """Pairs of pictures near each other, of hashes uint64[n, 6] of n of them."""

    def __init__(self, looks: NDArray[np.uint64], rules: Rules) -> None:
        self._flip = rules.flip
        self._parts = looks.shape[1] - 1 if rules.crop else 0
        self._whole = Lookup(looks[:, 0].copy(), rules.most)
        self._cut = Lookup(looks[:, 1 : 1 + self._parts].reshape(-1), rules.most)

    @property
    def crowded(self) -> int:
        return self._whole.crowded + self._cut.crowded

    def pairs(self, looks: NDArray[np.uint64]) -> Iterator[tuple[Rows, Rows, NDArray[np.uint8]]]:
        """(which of the queries uint64[k, 6], which picture, bits), some of them several times."""
        for turned in (False, True) if self._flip else (False,):
            queries = hashes.flipped(looks) if turned else looks
            for part in range(1 + self._parts):
                yield from self._whole.near(queries[:, part])
            for query, entry, bits in self._cut.near(queries[:, 0]):
                yield query, entry // self._parts, bits


class _Exact:
    """Rows by a digest, uint64[n, 2]."""

    def __init__(self, digests: NDArray[np.uint64], usable: NDArray[np.bool_]) -> None:
        rows = np.flatnonzero(usable)
        order = np.lexsort((digests[rows, 1], digests[rows, 0]))
        self._rows = rows[order]
        self._digests = digests[self._rows]

    def first(self, digests: NDArray[np.uint64]) -> Rows:
        """int64[k]: the first row with each digest, `NONE` if there is none. (Digests of which only
        the first half is equal do not occur: one in 2^64 pairs.)"""
        if not len(self._rows):
            return np.full(len(digests), NONE, np.int64)
        at = np.searchsorted(self._digests[:, 0], digests[:, 0]).clip(max=len(self._rows) - 1)
        return np.where((self._digests[at] == digests).all(axis=1), self._rows[at], NONE)


def _grouped(prints: Prints) -> tuple[Rows, Rows]:
    """The first row of each hash of a whole picture, ascending, and of each row the place of its
    hash among them; `NONE` for flat pictures and those that can't be decoded."""
    rows = np.flatnonzero(prints["readable"] & ~prints["flat"])
    _, first, inverse = np.unique(prints["looks"][rows, 0], return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    of_rows = np.full(len(prints), NONE, np.int64)
    of_rows[rows] = place[inverse]
    return rows[first[order]], of_rows


def _units(prints: Prints) -> Rows:
    return _grouped(prints)[0]


def _packed(bits: NDArray[np.integer], entry: Rows) -> Rows:
    """Fewer bits first, then the earlier entry."""
    return (bits.astype(np.int64) << _ENTRY_BITS) | entry


def _unpacked(packed: Rows) -> tuple[NDArray[np.uint8], Rows]:
    return (packed >> _ENTRY_BITS).astype(np.uint8), packed & ((np.int64(1) << _ENTRY_BITS) - 1)
