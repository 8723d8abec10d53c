"""Which images of a source a subset takes: filters, then the first ones by a hash of their keys.

The hash is of (seed, sample key) alone. So the N images that it puts first are among the M > N that
it puts first: with one seed and the same filters a smaller subset lies inside a larger one, and an
image that is added to the dataset moves no other one in or out beyond its own place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from vitctl.data.image_source import ImageSource
from vitctl.data.order import hash64, sample_key
from vitctl.data.records import read_examples
from vitctl.errors import InputError
from vitctl.text.quoting import quoted

Mask = NDArray[np.bool_]

_TAG_SUBSET = 5
_HASH_BYTES = 16
_RECORDS = 256


def rank(keys: NDArray[np.uint64], *, seed: int) -> NDArray[np.int64]:
    """int64[n] positions, by the hash of their keys; equal hashes in the order of positions."""
    return np.argsort(hash64(seed, keys, tag=_TAG_SUBSET), kind="stable")


def first(candidates: Mask, *, keys: NDArray[np.uint64], count: int, seed: int) -> Mask:
    """The `count` candidates that the hash puts first, or all if they are fewer."""
    positions = np.flatnonzero(candidates)
    return _mask(positions[rank(keys[positions], seed=seed)[:count]], len(candidates))


def first_per_class(
    candidates: Mask,
    *,
    keys: NDArray[np.uint64],
    labels: NDArray[np.int32],
    count: int,
    seed: int,
) -> Mask:
    """Of each class the `count` candidates that the hash puts first; `labels` int32[n], one an
    image."""
    positions = np.flatnonzero(candidates)
    positions = positions[rank(keys[positions], seed=seed)]
    positions = positions[np.argsort(labels[positions], kind="stable")]
    classes = labels[positions]
    begin = np.searchsorted(classes, classes, side="left")
    return _mask(positions[np.arange(len(positions)) - begin < count], len(candidates))


def with_classes(labels: NDArray[np.int32], chosen: Collection[int]) -> Mask:
    """bool[n]: whether an image has one of these classes; `labels` int32[n, L]."""
    return np.asarray(np.isin(labels, list(chosen)).any(axis=1))


def with_ids(keys: Mapping[str, NDArray[np.uint64]], ids: Iterable[str]) -> dict[str, Mask]:
    """Split -> bool[n]: whether an image has one of these ids.

    Raises `InputError` naming ids that no image has.
    """
    wanted = {sample_key(id): id for id in ids}
    listed = np.fromiter(wanted, np.uint64, len(wanted))
    missing = listed[~np.isin(listed, np.concatenate(list(keys.values())))]
    if len(missing):
        named = ", ".join(quoted(wanted[int(key)]) for key in missing[:3])
        raise InputError(
            f"{len(missing):,} of {len(wanted):,} ids belong to no image: {named}"
            f"{', ...' if len(missing) > 3 else ''}",
            hint="an id is what `vitctl replay` shows of an image, such as train/cat/1.jpg",
        )
    return {split: np.isin(of_split, listed) for split, of_split in keys.items()}


@dataclass(frozen=True)
class Unique:
    """Split -> bool[n]: the candidates without those of which an earlier one has the same bytes;
    `repeated` were left out, `conflicting` of them have other labels than the one that stays."""

    masks: Mapping[str, Mask]
    repeated: int
    conflicting: int


def unique(
    source: ImageSource,
    candidates: Mapping[str, Mask],
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Unique:
    """Leave out exact duplicates: images whose encoded bytes another one has.

    Datasets record no hash of them, so every candidate is read. Splits are searched in the order in
    which `candidates` has them: of equal images in two, that of the first stays. Raises
    `InputError` for a damaged record.
    """
    rows = {split: np.flatnonzero(mask) for split, mask in candidates.items()}
    total, done = sum(map(len, rows.values())), 0
    hashes = np.empty((total, 2), np.uint64)
    for split, positions in rows.items():
        with closing(source.records(split)) as records:
            for begin in range(0, len(positions), _RECORDS):
                block = positions[begin : begin + _RECORDS]
                for example in read_examples(records, block):
                    hashes[done] = _hash(example.image)
                    done += 1
                progress(done, total)
    # Equal hashes side by side, in the order they were read: the first of each run stays.
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))
    same = np.zeros(total, bool)
    same[1:] = (hashes[order][1:] == hashes[order][:-1]).all(axis=1)
    labels = np.concatenate(
        [np.sort(np.asarray(source.labels(split)[at]), axis=1) for split, at in rows.items()]
    )[order]
    stays = np.maximum.accumulate(np.where(same, 0, np.arange(total)))
    conflicting = int((labels != labels[stays]).any(axis=1).sum())
    taken = np.ones(total, bool)
    taken[order[same]] = False
    stops = np.cumsum([len(at) for at in rows.values()])
    masks = {
        split: _mask(at[taken[stop - len(at) : stop]], len(candidates[split]))
        for (split, at), stop in zip(rows.items(), stops, strict=True)
    }
    return Unique(masks, int(same.sum()), conflicting)


def _hash(image: bytes) -> NDArray[np.uint64]:
    """uint64[2] of an image's encoded bytes."""
    return np.frombuffer(blake2b(image, digest_size=_HASH_BYTES).digest(), np.uint64)


def _mask(positions: NDArray[np.int64], length: int) -> Mask:
    mask = np.zeros(length, bool)
    mask[positions] = True
    return mask
