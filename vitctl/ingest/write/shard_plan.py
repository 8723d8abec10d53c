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
from vitctl.ingest.listing import Listing
from vitctl.ingest.pixels.storage import ImageStorage, compressions_of
from vitctl.ingest.write.share import ShareOf, shares
from vitctl.text.quoting import quoted

_TRAIN = SPLITS.index("train")
_MAX_SHARDS = 100_000  # the file names have five digits


@dataclass(frozen=True, eq=False)
class NumberedShard:
    """Shard `index`, from 0, of so many `shards` of a split."""

    split: Split
    index: int
    shards: int

    @property
    def file_name(self) -> str:
        return shard_name(self.split, index=self.index, shards=self.shards)


@dataclass(frozen=True, eq=False)
class Unit(NumberedShard):
    """The work of one shard. The labels of `entries` are the numbers of classes."""

    entries: Entries

    def name_of(self, position: int | None) -> str:
        """How an error names it; `position` is of the image in hand, as far as that is known."""
        ids = self.entries.ids
        name = f"shard {self.index} of {self.split}, {quoted(ids[0])} to {quoted(ids[-1])}"
        if position is None:
            return name
        return f"{name}, about {quoted(ids[min(position, len(ids) - 1)])}"


@dataclass(frozen=True)
class Splitting:
    """Which image is in which split.

    Attributes:
      by_split: images by split, each in record order; no split is empty.
      share_of: how a share was held out; None where none was.
      held_back: images that the share of all images would have sent to `val`, and that stay to
        train on because their classes have no others.
      had_held_back: whether a share of all images holds some back, also where it was one of each
        class: the ids of older datasets say so.
      few: classes that have fewer images for `val` than were asked for of each -> how many; of a
        share, those that have none.
      single: how many of `few` have one image to train on, so that none of it can be in `val`.
    """

    by_split: dict[Split, Entries]
    share_of: ShareOf | None = None
    held_back: tuple[Entry, ...] = ()
    had_held_back: bool = False
    few: Mapping[str, int] = field(default_factory=dict)
    single: int = 0


def assign_splits(
    listing: Listing,
    *,
    val_fraction: float = 0.0,
    val_per_class: int | None = None,
    share_of: ShareOf | None = None,
) -> Splitting:
    """Send a share of the images to train on to `val`, or so many of each class; a class keeps one
    image to train on at least.

    Which images of a class go is a hash of their ids. A share is one of each class, where each
    image has one class, so that no class is in `val` by luck more than others. `share_of="image"`
    sends those whose own hash is small, whatever their class: adding images then moves no other one
    to the other side.
    """
    entries = listing.entries
    keys, fractions = _hashes(entries)
    chosen = np.where(entries.splits == NO_SPLIT, _TRAIN, entries.splits)
    trains = chosen == _TRAIN
    few: dict[str, int] = {}
    held_back: list[int] = []
    had_held_back = False
    sizes: dict[str, int] = {}
    made: ShareOf | None = None
    if val_per_class is not None:
        _check_one_class_each(entries, trains, option="--val-per-class")
        sizes = _sizes(listing, trains)
        counts = {name: min(val_per_class, size - 1) for name, size in sizes.items()}
        few = {name: count for name, count in counts.items() if count < val_per_class}
        to_val = _first_of_each(listing, counts, fractions, trains=trains)
    else:
        if share_of == "class" and val_fraction > 0:
            _check_one_class_each(entries, trains, option="share_of=class")
        to_val = trains & (fractions < val_fraction)
        held_back = _last_of_classes(listing, fractions, trains=trains, to_val=to_val)
        had_held_back = bool(held_back)
        to_val[held_back] = False
        if val_fraction > 0:
            one_class_each = not (trains & (entries.label_counts != 1)).any()
            made = "class" if one_class_each and share_of != "image" else "image"
        if made == "class":
            sizes = _sizes(listing, trains)
            counts = shares(sizes, fraction=val_fraction)
            few = {name: 0 for name, count in counts.items() if not count}
            to_val = _first_of_each(listing, counts, fractions, trains=trains)
            held_back = []
    chosen[to_val] = SPLITS.index("val")
    # Equal keys stay in the order of ids, in which a listing is.
    order = np.argsort(keys, kind="stable")
    by_split: dict[Split, Entries] = {}
    for number, split in enumerate(SPLITS):
        rows = order[chosen[order] == number]
        if len(rows):
            by_split[split] = entries.take(rows)
    left_to_train = tuple(entries[row] for row in held_back)
    single = sum(sizes[name] == 1 for name in few)
    return Splitting(by_split, made, left_to_train, had_held_back, few, single)


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


def _check_one_class_each(entries: Entries, trains: NDArray[np.bool_], *, option: str) -> None:
    several = trains & (entries.label_counts != 1)
    if several.any():
        entry = entries[int(np.argmax(several))]
        raise UsageError(
            f"{option} needs images of one class each, and {entry.id} has {len(entry.labels)}",
            hint="hold out a share of all images instead: --val-fraction 0.1",
        )


def _sizes(listing: Listing, trains: NDArray[np.bool_]) -> dict[str, int]:
    """Images to train on of each class that has any, where each image has one class."""
    numbers, sizes = np.unique(_single_labels(listing.entries)[trains], return_counts=True)
    pairs = zip(numbers.tolist(), sizes.tolist(), strict=True)
    return {listing.names[number]: size for number, size in pairs}


def _single_labels(entries: Entries) -> NDArray[np.int32]:
    """int32[n]: the label of each image; -1 where it has none, the first where it has several."""
    has_one = entries.label_counts > 0
    labels = np.full(len(entries), -1, np.int32)
    labels[has_one] = entries.labels[(entries.label_ends - entries.label_counts)[has_one]]
    return labels


def _first_of_each(
    listing: Listing,
    counts: Mapping[str, int],
    fractions: NDArray[np.float64],
    *,
    trains: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """bool[n]: so many of the images to train on of each class, those that come first by their
    hash. In columns: of a hundred million images a list of rows has 4 GB."""
    rows = np.flatnonzero(trains)
    labels = _single_labels(listing.entries)[rows]
    order = np.lexsort((rows, fractions[rows], labels))
    rows, labels = rows[order], labels[order]
    rank = np.arange(len(rows)) - np.searchsorted(labels, labels)
    wanted = np.array([counts.get(name, 0) for name in listing.names], np.int64)
    first = np.zeros(len(fractions), bool)
    first[rows[rank < wanted[labels]]] = True
    return first


def make_units(
    by_split: dict[Split, Entries],
    *,
    names: Sequence[str],
    classes: Sequence[str],
    shard_bytes: int,
    shards: int | None,
    storage: ImageStorage,
) -> list[Unit]:
    """Cut every split into shards of about `shard_bytes` of images, or into `shards` in all.

    `names` are the classes of the entries' labels, `classes` those of the dataset, in the order of
    their numbers. Every shard has an image. Raises `UsageError` for more shards than images.
    """
    numbers = class_numbers(names, classes)
    image_bytes = {
        split: int(stored_bytes(entries, storage=storage).sum())
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


def class_numbers(names: Sequence[str], classes: Sequence[str]) -> NDArray[np.int32]:
    """int32[names]: the number of each class of a listing; -1 where no image has it, which may be
    in no list of classes."""
    number_of = {name: number for number, name in enumerate(classes)}
    return np.array([number_of.get(name, -1) for name in names], np.int32)


def stored_bytes(entries: Entries, *, storage: ImageStorage) -> NDArray[np.int64]:
    """int64[n]: about how many bytes of each image are stored."""
    compressions = compressions_of(entries.ids, count=len(entries))
    return storage.expected_bytes(entries.sizes, compressions)


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
