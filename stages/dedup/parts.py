"""The hashes of a part of a split: work that needs nothing of other parts, whoever does it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from vitctl.artifacts import Artifact
from vitctl.artifacts.references import plain_name
from vitctl.data.local_shards import local_folder_elsewhere
from vitctl.data.opening import open_dataset
from vitctl.data.records import Records, read_examples
from vitctl.duplicates import stored
from vitctl.duplicates.prints import Compared, Prints, prints
from vitctl.duplicates.stored import PrintsInfo
from vitctl.places import Place

_BLOCK = 256
"""Images in memory at a time."""


@dataclass(frozen=True)
class SplitImages:
    """The images of a split, which every worker opens by itself."""

    dataset: Artifact
    split: str
    cache: Path | None

    @property
    def name(self) -> str:
        return f"{plain_name(self.dataset)} {self.split}"

    def records(self) -> Records:
        def folder(dataset: Artifact) -> Path:
            return local_folder_elsewhere(dataset, splits=(self.split,), cache=self.cache)

        return open_dataset(self.dataset, folder=folder).records(self.split)


@dataclass(frozen=True)
class PartCounts:
    """Of a part's images, how many cannot be decoded, and how many others have no structure."""

    unreadable: int
    flat: int

    @staticmethod
    def of(part: Prints) -> PartCounts:
        readable = part["readable"]
        return PartCounts(int((~readable).sum()), int((part["flat"] & readable).sum()))


class _Held:
    """The records that this process reads: opening thousands of shards again for each part would
    cost more than it need."""

    def __init__(self) -> None:
        self._images: SplitImages | None = None
        self._records: Records | None = None
        self._files = ExitStack()

    def records_of(self, images: SplitImages) -> Records:
        if self._records is None or images != self._images:
            self.close()
            self._records = self._files.enter_context(closing(images.records()))
            self._images = images
        return self._records

    def close(self) -> None:
        self._images = self._records = None
        self._files.close()


_held = _Held()


@contextmanager
def records_closed_after() -> Iterator[None]:
    """Closes what `hash_part` has kept open in this process; workers end with theirs."""
    try:
        yield
    finally:
        _held.close()


def hash_part(
    index: int,
    *,
    images: SplitImages,
    info: PrintsInfo,
    folder: Place,
    threads: int,
    progress: Callable[[int], None] | None,
    poisoned: Mapping[int, str],
    begin: Callable[[int], None],
) -> PartCounts:
    """Write the hashes of a part to its file in `folder`.

    `poisoned` images (positions in the part) crashed a decoder before and are not decoded again;
    `begin(position)` is called before each image of a process with one thread. `progress` gets
    how many images are done.
    """
    records = _held.records_of(images)
    rows = np.array(info.rows(index))
    blocks = []
    with ThreadPoolExecutor(threads, "decode") as pool:
        for first in range(0, len(rows), _BLOCK):
            encoded = [each.image for each in read_examples(records, rows[first : first + _BLOCK])]
            alone = partial(_one_by_one, first=first, poisoned=poisoned, begin=begin)
            blocks.append(prints(encoded, mapping=pool.map if threads > 1 else alone))
            if progress is not None:
                progress(first + len(encoded))
    part = np.concatenate(blocks)
    (folder / stored.part_name(index, parts=info.parts)).write_atomic(stored.as_npy(part))
    return PartCounts.of(part)


def _one_by_one(
    compare: Callable[[bytes], Compared | None],
    images: Sequence[bytes],
    *,
    first: int,
    poisoned: Mapping[int, str],
    begin: Callable[[int], None],
) -> Iterator[Compared | None]:
    """`map` that says which image is in hand, the `first` of them being at that position."""
    for position, image in enumerate(images, start=first):
        begin(position)
        yield None if position in poisoned else compare(image)


def digest_of(images: SplitImages, position: int) -> str:
    """sha256 of a record, by which a machine shows that it sees the same images."""
    with closing(images.records()) as records:
        (record,) = records.read(np.array([position]))
    return hashlib.sha256(record).hexdigest()
