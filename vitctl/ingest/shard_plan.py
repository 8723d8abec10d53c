"""Which image goes into which shard: a function of the listing and the configuration alone.

Records lie in the order of a hash of their id, so every shard is a random sample of its split. The
plan is made before anything is read, so the work can be split among any number of processes, and
interrupted and continued, with the same bytes in the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vitctl.data.dataset import SPLITS, Split, shard_name
from vitctl.errors import UsageError
from vitctl.ingest.columns import NO_SPLIT, Entries, Entry
from vitctl.ingest.sources import Listing

_TRAIN = SPLITS.index("train")
_MAX_SHARDS = 100_000  # the file names have five digits


@dataclass(frozen=True, eq=False)
class Unit:
    """The work of one shard. The labels of `entries` are the numbers of classes."""

    split: Split
    index: int
    shards: int
    entries: Entries

    @property
    def file_name(self) -> str:
        return shard_name(self.split, index=self.index, shards=self.shards)


@dataclass(frozen=True)
class Splitting:
    """Which image is in which split.

    Attributes:
      by_split: images by split, each in record order; no split is empty.
      held_back: images that the share would have sent to `val`, and that stay to train on because
        their classes have no others.
      few: classes that have fewer images for `val` than were asked for of each -> how many.
    """

    by_split: dict[Split, Entries]
    held_back: tuple[Entry, ...] = ()
    few: Mapping[str, int] = field(default_factory=dict)


def assign_splits(
    listing: Listing, *, val_fraction: float = 0.0, val_per_class: int | None = None
) -> Splitting:
    """Send a share of the images to train on to `val`, or so many of each class.

    Which ones is a hash of the id alone: with a share, adding images moves no other one to the
    other side. A class keeps one image to train on at least.
    """
    entries = listing.entries
    keys, fractions = _hashes(entries)
    chosen = np.where(entries.splits == NO_SPLIT, _TRAIN, entries.splits)
    trains = chosen == _TRAIN
    few: dict[str, int] = {}
    held_back: list[Entry] = []
    if val_per_class is not None:
        to_val, few = _of_each_class(listing, fractions, trains=trains, count=val_per_class)
    else:
        to_val = trains & (fractions < val_fraction)
        back = _last_of_classes(listing, fractions, trains=trains, to_val=to_val)
        to_val[back] = False
        held_back = [entries[row] for row in back]
    chosen[to_val] = SPLITS.index("val")
    # Equal keys stay in the order of ids, in which a listing is.
    order = np.argsort(keys, kind="stable")
    by_split: dict[Split, Entries] = {}
    for number, split in enumerate(SPLITS):
        rows = order[chosen[order] == number]
        if len(rows):
            by_split[split] = entries.take(rows)
    return Splitting(by_split, tuple(held_back), few)


def _hashes(entries: Entries) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
    """Two independent hashes of each id: uint64[n], the keys of the record order, and float64[n]
    in [0, 1)."""
    keys = np.empty(len(entries), np.uint64)
    fractions = np.empty(len(entries), np.float64)
    for row, id_ in enumerate(entries.ids):
        digest = hashlib.sha256(id_).digest()
        keys[row] = int.from_bytes(digest[:8], "little")  # as `sample_key`
        fractions[row] = int.from_bytes(digest[8:14], "little") / 2**48
    return keys, fractions


def _last_of_classes(
    listing: Listing,
    fractions: NDArray[np.float64],
    *,
    trains: NDArray[np.bool_],
    to_val: NDArray[np.bool_],
) -> list[int]:
    """Of each class that would have no image left to train on, the one furthest from `val`."""
    entries = listing.entries
    rows = entries.rows_of_labels
    trained = set(entries.labels[(trains & ~to_val)[rows]].tolist())
    candidates: dict[str, list[int]] = {}
    in_val = to_val[rows]
    for row, label in zip(rows[in_val].tolist(), entries.labels[in_val].tolist(), strict=True):
        if label not in trained:
            candidates.setdefault(listing.names[label], []).append(row)
    back: set[int] = set()
    for name in sorted(candidates):
        if back.isdisjoint(candidates[name]):  # an image of several classes may serve them all
            # Rows are in the order of ids.
            back.add(max(candidates[name], key=lambda row: (fractions[row], row)))
    return sorted(back)


def _of_each_class(
    listing: Listing,
    fractions: NDArray[np.float64],
    *,
    trains: NDArray[np.bool_],
    count: int,
) -> tuple[NDArray[np.bool_], dict[str, int]]:
    """bool[n]: the `count` images of each class that come first, but never all; and which classes
    have fewer."""
    entries = listing.entries
    several = trains & (entries.label_counts != 1)
    if several.any():
        entry = entries[int(np.argmax(several))]
        raise UsageError(
            f"--val-per-class needs images of one class each, and {entry.id} has "
            f"{len(entry.labels)}",
            hint="give a share instead: --val-fraction 0.1",
        )
    of_class: dict[str, list[int]] = {}
    rows = np.flatnonzero(trains)
    firsts = (entries.label_ends - entries.label_counts)[rows]
    for row, label in zip(rows.tolist(), entries.labels[firsts].tolist(), strict=True):
        of_class.setdefault(listing.names[label], []).append(row)
    to_val = np.zeros(len(entries), bool)
    few: dict[str, int] = {}
    for name, own_rows in of_class.items():
        own = min(count, len(own_rows) - 1)
        if own < count:
            few[name] = own
        to_val[sorted(own_rows, key=lambda row: (fractions[row], row))[:own]] = True
    return to_val, few


def make_units(
    by_split: dict[Split, Entries],
    *,
    names: Sequence[str],
    classes: Sequence[str],
    shard_bytes: int,
    shards: int | None,
    largest_file: int,
) -> list[Unit]:
    """Cut every split into shards of about `shard_bytes` of images, or into `shards` in all.

    `names` are the classes of the entries' labels, `classes` those of the dataset, in the order of
    their numbers. Files above `largest_file` bytes are no images, and don't count. Every shard has
    an image. Raises `UsageError` for more shards than images.
    """
    number_of = {name: number for number, name in enumerate(classes)}
    # Names without an image may be in no list of classes.
    numbers = np.array([number_of.get(name, -1) for name in names], np.int32)
    image_bytes = {
        split: int(entries.sizes[entries.sizes <= largest_file].sum())
        for split, entries in by_split.items()
    }
    counts = _shard_counts(
        by_split, image_bytes=image_bytes, shard_bytes=shard_bytes, shards=shards
    )
    units = []
    for split, entries in by_split.items():
        count = counts[split]
        for index in range(count):
            rows = range(index * len(entries) // count, (index + 1) * len(entries) // count)
            own = entries.take(rows).relabelled(numbers)
            units.append(Unit(split=split, index=index, shards=count, entries=own))
    return units


def _shard_counts(
    by_split: Mapping[Split, Entries],
    *,
    image_bytes: dict[Split, int],
    shard_bytes: int,
    shards: int | None,
) -> dict[Split, int]:
    if shards is None:
        counts = {
            split: min(len(entries), -(-image_bytes[split] // shard_bytes) or 1)
            for split, entries in by_split.items()
        }
        if max(counts.values()) >= _MAX_SHARDS:
            raise UsageError(
                f"this makes {max(counts.values()):,} shards", hint="choose a larger --shard-size"
            )
        return counts
    total = sum(len(entries) for entries in by_split.values())
    if not len(by_split) <= shards <= min(total, _MAX_SHARDS - 1):
        raise UsageError(
            f"--shards {shards} is not possible: {total} images in {len(by_split)} splits need "
            f"{len(by_split)} to {min(total, _MAX_SHARDS - 1)}",
        )
    # One each, the rest one by one to the split whose shards are largest.
    counts = dict.fromkeys(by_split, 1)
    for _ in range(shards - len(by_split)):
        largest = max(counts, key=lambda split: len(by_split[split]) / counts[split])
        counts[largest] += 1
    return counts
