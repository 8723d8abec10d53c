"""Which image goes into which shard: a function of the listing and the configuration alone.

Records lie in the order of a hash of their id, so every shard is a random sample of its split. The
plan is made before anything is read, so the work can be split among any number of processes, and
interrupted and continued, with the same bytes in the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vitctl.data.dataset import SPLITS, Split, shard_name
from vitctl.data.order import sample_key
from vitctl.errors import UsageError
from vitctl.ingest.sources import Entry

_MAX_SHARDS = 100_000  # the file names have five digits


@dataclass(frozen=True)
class Unit:
    """The work of one shard."""

    split: Split
    index: int
    shards: int
    entries: tuple[Entry, ...]
    labels: tuple[tuple[int, ...], ...]

    @property
    def file_name(self) -> str:
        return shard_name(self.split, index=self.index, shards=self.shards)


@dataclass(frozen=True)
class Splitting:
    """Which image is in which split.

    Attributes:
      by_split: entries by split, each in record order; no split is empty.
      held_back: images that the share would have sent to `val`, and that stay to train on because
        their classes have no others.
      few: classes that have fewer images for `val` than were asked for of each -> how many.
    """

    by_split: dict[Split, list[Entry]]
    held_back: tuple[Entry, ...] = ()
    few: Mapping[str, int] = field(default_factory=dict)


def assign_splits(
    entries: Sequence[Entry], *, val_fraction: float = 0.0, val_per_class: int | None = None
) -> Splitting:
    """Send a share of the images to train on to `val`, or so many of each class.

    Which ones is a hash of the id alone: with a share, adding images moves no other one to the
    other side. A class keeps one image to train on at least.
    """
    chosen = [entry.split or "train" for entry in entries]
    trains = [i for i, split in enumerate(chosen) if split == "train"]
    fractions = {i: _fraction_of(entries[i].id) for i in trains}
    few: dict[str, int] = {}
    held_back: list[Entry] = []
    if val_per_class is not None:
        to_val, few = _of_each_class(entries, fractions, count=val_per_class)
    else:
        to_val = {i for i, fraction in fractions.items() if fraction < val_fraction}
        back = _last_of_classes(entries, fractions, to_val=to_val)
        to_val -= back
        held_back = sorted((entries[i] for i in back), key=lambda entry: entry.id)
    by_split: dict[Split, list[Entry]] = {split: [] for split in SPLITS}
    for i, entry in enumerate(entries):
        by_split["val" if i in to_val else chosen[i]].append(entry)
    ordered = {
        split: sorted(part, key=lambda entry: (sample_key(entry.id), entry.id))
        for split, part in by_split.items()
        if part
    }
    return Splitting(ordered, tuple(held_back), few)


def _last_of_classes(
    entries: Sequence[Entry], fractions: Mapping[int, float], *, to_val: set[int]
) -> set[int]:
    """Of each class that would have no image left to train on, the one furthest from `val`."""
    trained = {name for i in fractions if i not in to_val for name in entries[i].class_names}
    candidates: dict[str, list[int]] = {}
    for i in to_val:
        for name in entries[i].class_names:
            if name not in trained:
                candidates.setdefault(name, []).append(i)
    back: set[int] = set()
    for name in sorted(candidates):
        if back.isdisjoint(candidates[name]):  # an image of several classes may serve them all
            back.add(max(candidates[name], key=lambda i: (fractions[i], entries[i].id)))
    return back


def _of_each_class(
    entries: Sequence[Entry], fractions: Mapping[int, float], *, count: int
) -> tuple[set[int], dict[str, int]]:
    """The `count` images of each class that come first, but never all; and which have fewer."""
    of_class: dict[str, list[int]] = {}
    for i in fractions:
        names = entries[i].class_names
        if len(names) != 1:
            raise UsageError(
                f"--val-per-class needs images of one class each, and {entries[i].id} has "
                f"{len(names)}",
                hint="give a share instead: --val-fraction 0.1",
            )
        of_class.setdefault(names[0], []).append(i)
    to_val: set[int] = set()
    few: dict[str, int] = {}
    for name, indices in of_class.items():
        own = min(count, len(indices) - 1)
        if own < count:
            few[name] = own
        to_val.update(sorted(indices, key=lambda i: (fractions[i], entries[i].id))[:own])
    return to_val, few


def make_units(
    by_split: dict[Split, list[Entry]],
    *,
    classes: Sequence[str],
    shard_bytes: int,
    shards: int | None,
    largest_file: int,
) -> list[Unit]:
    """Cut every split into shards of about `shard_bytes` of images, or into `shards` in all.

    Files above `largest_file` bytes are no images, and don't count. Every shard has an image.
    Raises `UsageError` for more shards than images.
    """
    label_of = {name: i for i, name in enumerate(classes)}
    image_bytes = {
        split: sum(entry.size for entry in entries if entry.size <= largest_file)
        for split, entries in by_split.items()
    }
    counts = _shard_counts(
        by_split, image_bytes=image_bytes, shard_bytes=shard_bytes, shards=shards
    )
    units = []
    for split, entries in by_split.items():
        count = counts[split]
        for index in range(count):
            part = entries[index * len(entries) // count : (index + 1) * len(entries) // count]
            units.append(
                Unit(
                    split=split,
                    index=index,
                    shards=count,
                    entries=tuple(part),
                    labels=tuple(
                        tuple(label_of[name] for name in entry.class_names) for entry in part
                    ),
                )
            )
    return units


def _shard_counts(
    by_split: dict[Split, list[Entry]],
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


def _fraction_of(sample_id: str) -> float:
    """[0, 1) from bytes of the hash that the record order doesn't use."""
    return int.from_bytes(hashlib.sha256(sample_id.encode()).digest()[8:14], "little") / 2**48
