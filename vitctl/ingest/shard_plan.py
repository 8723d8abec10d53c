"""Which image goes into which shard: a function of the listing and the configuration alone.

Records lie in the order of a hash of their id, so every shard is a random sample of its split. The
plan is made before anything is read, so the work can be split among any number of processes, and
interrupted and continued, with the same bytes in the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

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


def assign_splits(entries: Sequence[Entry], *, val_fraction: float) -> dict[Split, list[Entry]]:
    """Entries by split, each in record order; `val_fraction` of those to train on go to `val`.

    Which ones is a hash of the id alone: adding images moves no other one to the other side.
    """
    by_split: dict[Split, list[Entry]] = {split: [] for split in SPLITS}
    for entry in entries:
        split = entry.split or "train"
        if split == "train" and _fraction_of(entry.id) < val_fraction:
            split = "val"
        by_split[split].append(entry)
    return {
        split: sorted(found, key=lambda entry: (sample_key(entry.id), entry.id))
        for split, found in by_split.items()
        if found
    }


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
