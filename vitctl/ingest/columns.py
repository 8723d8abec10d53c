"""The images of a source as columns: tens of millions of them fit in memory.

A Python object with its strings was more than 500 bytes (2026-11-28). Here an image is its name and
45 bytes (a label and the number of labels included), so that a listing and the plan made of it stay
below 400 bytes an image together.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vitctl.data.dataset import SPLITS, Split
from vitctl.text.quantities import show_bytes

I64 = NDArray[np.int64]
NO_SPLIT = -1
"""In the column of splits: the source does not say."""


class Strings:
    """Byte strings one after another: 8 bytes each besides their own."""

    def __init__(self, data: bytes | bytearray, end_offsets: I64) -> None:
        self._data = data
        self._end_offsets = end_offsets

    @classmethod
    def of(cls, strings: Iterable[bytes]) -> Strings:
        data, end_offsets = bytearray(), array("q")
        for string in strings:
            data += string
            end_offsets.append(len(data))
        return cls(data, np.array(end_offsets, np.int64))

    def __len__(self) -> int:
        return len(self._end_offsets)

    def __getitem__(self, i: int) -> bytes:
        first = self._end_offsets[i - 1] if i else 0
        return bytes(self._data[first : self._end_offsets[i]])

    def __iter__(self) -> Iterator[bytes]:
        first = 0
        for end in self._end_offsets.data:
            yield bytes(self._data[first:end])
            first = end

    def take(self, rows: I64) -> Strings:
        lengths = np.diff(self._end_offsets, prepend=0)[rows]
        data = bytearray(int(lengths.sum()))
        end_offsets = np.cumsum(lengths, dtype=np.int64)
        own, starts = memoryview(self._data), (self._end_offsets[rows] - lengths).data
        to = 0
        for first, end in zip(
            starts, end_offsets.data, strict=True
        ):  # no list of a million strings
            data[to:end] = own[first : first + end - to]
            to = end
        return Strings(data, end_offsets)


class Entry(NamedTuple):
    """One file that should be an image: a row of the columns."""

    id: str
    """Stable and unique: its path below the source, as text."""
    size: int
    mtime_ns: int
    split: Split | None
    """None: the source does not say."""
    labels: tuple[int, ...]
    """Indices of class names."""
    part: int
    """The file of the source that holds it, where one holds many."""
    offset: int
    """Its place in that file; the source alone knows in which unit."""


@dataclass(frozen=True, eq=False)
class Entries:
    """Images, sorted by id unless they are a part of others in an order of its own.

    Attributes:
      ids: in UTF-8, whose order of bytes is that of code points.
      sizes, mtimes_ns: int64[n].
      splits: int8[n], index into `SPLITS` or `NO_SPLIT`.
      labels: int32[k], all images' one after another.
      label_ends: int64[n], where the labels of each end.
      parts: int32[n], see `Entry`.
      offsets: int64[n], see `Entry`.
    """

    ids: Strings
    sizes: I64
    mtimes_ns: I64
    splits: NDArray[np.int8]
    labels: NDArray[np.int32]
    label_ends: I64
    parts: NDArray[np.int32]
    offsets: I64

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> Entry:
        if not 0 <= i < len(self):
            raise IndexError(i)
        split = int(self.splits[i])
        return Entry(
            self.id(i),
            int(self.sizes[i]),
            int(self.mtimes_ns[i]),
            None if split == NO_SPLIT else SPLITS[split],
            self.labels_of(i),
            int(self.parts[i]),
            int(self.offsets[i]),
        )

    def __iter__(self) -> Iterator[Entry]:
        return (self[i] for i in range(len(self)))

    def id(self, i: int) -> str:
        return self.ids[i].decode()

    def labels_of(self, i: int) -> tuple[int, ...]:
        first = self.label_ends[i - 1] if i else 0
        return tuple(self.labels[first : self.label_ends[i]].tolist())

    @property
    def label_counts(self) -> I64:
        """int64[n]: how many labels each image has."""
        return np.diff(self.label_ends, prepend=0)

    @property
    def rows_of_labels(self) -> I64:
        """int64[k]: the image that each label belongs to."""
        return np.repeat(np.arange(len(self)), self.label_counts)

    def take(self, rows: Sequence[int] | I64) -> Entries:
        """The images of these rows, in this order."""
        rows = np.asarray(rows, np.int64)
        counts = self.label_counts[rows]
        end_offsets = np.cumsum(counts, dtype=np.int64)
        # For each label taken, its place among all: its image's first, and how far it is from it.
        firsts = (self.label_ends - self.label_counts)[rows]
        places = np.repeat(firsts - (end_offsets - counts), counts) + np.arange(counts.sum())
        return Entries(
            self.ids.take(rows),
            self.sizes[rows],
            self.mtimes_ns[rows],
            self.splits[rows],
            self.labels[places],
            end_offsets,
            self.parts[rows],
            self.offsets[rows],
        )

    def in_reading_order(self) -> list[int]:
        """Rows in the order in which their bytes lie in the files of the source."""
        rows: list[int] = np.lexsort((self.offsets, self.parts)).tolist()
        return rows

    def where(self, mask: NDArray[np.bool_]) -> Entries:
        """The images for which `mask`, bool[n], holds."""
        return self if mask.all() else self.take(np.flatnonzero(mask))

    def have(self, labels: NDArray[np.bool_], *, all_of_them: bool = False) -> NDArray[np.bool_]:
        """bool[n]: whether any label of an image is among those marked in `labels`, which has a
        place for each class; with `all_of_them`, whether no label is another."""
        marked = labels[self.labels] if len(self.labels) else np.zeros(0, bool)
        rows = self.rows_of_labels
        if all_of_them:
            return np.bincount(rows[~marked], minlength=len(self)) == 0
        return np.bincount(rows[marked], minlength=len(self)) > 0

    def relabelled(self, new: NDArray[np.int32]) -> Entries:
        """The same images, with label `new[i]` for `i`; an image has each of its labels once."""
        labels = new[self.labels] if len(self.labels) else self.labels
        if (self.label_counts <= 1).all():
            return replace(self, labels=labels)
        rows = self.rows_of_labels
        pairs = np.stack([rows, labels.astype(np.int64)])
        _, first = np.unique(pairs, axis=1, return_index=True)
        first.sort()
        counts = np.bincount(rows[first], minlength=len(self))
        return replace(self, labels=labels[first], label_ends=np.cumsum(counts, dtype=np.int64))

    def labelled_one_each(self, labels: NDArray[np.int32]) -> Entries:
        return replace(self, labels=labels, label_ends=np.arange(1, len(self) + 1))

    def unlabelled(self) -> Entries:
        end_offsets = np.zeros(len(self), np.int64)
        return replace(self, labels=np.zeros(0, np.int32), label_ends=end_offsets)


def largest_in_words(parts: Sequence[Entries], *, most: int) -> str:
    """The largest file of all parts that has at most so many bytes; nothing if there is none."""
    largest, entry = -1, None
    for part in parts:
        sizes = np.where(part.sizes <= most, part.sizes, -1)
        if sizes.max(initial=-1) > largest:
            row = int(sizes.argmax())
            largest, entry = int(sizes[row]), part[row]
    if entry is None:
        return ""
    return f"the largest file is {entry.id}, {show_bytes(entry.size)}"


class EntriesBuilder:
    """Takes images one at a time, in any order."""

    def __init__(self) -> None:
        self._ids = bytearray()
        self._end_offsets = array("q")
        self._sizes = array("q")
        self._mtimes_ns = array("q")
        self._splits = array("b")
        self._labels = array("i")
        self._label_ends = array("q")
        self._parts = array("i")
        self._offsets = array("q")

    def __len__(self) -> int:
        return len(self._end_offsets)

    def add(
        self,
        id_: bytes,
        *,
        size: int,
        mtime_ns: int,
        split: Split | None = None,
        labels: Iterable[int] = (),
        part: int = 0,
        offset: int = 0,
    ) -> None:
        """`id_` in UTF-8."""
        self._ids += id_
        self._end_offsets.append(len(self._ids))
        self._sizes.append(size)
        self._mtimes_ns.append(mtime_ns)
        self._splits.append(NO_SPLIT if split is None else SPLITS.index(split))
        self._labels.extend(labels)
        self._label_ends.append(len(self._labels))
        self._parts.append(part)
        self._offsets.append(offset)

    def pop(self) -> None:
        """Take the newest image back, which has no labels."""
        for column in (
            self._end_offsets,
            self._sizes,
            self._mtimes_ns,
            self._splits,
            self._label_ends,
        ):
            column.pop()
        self._parts.pop()
        self._offsets.pop()
        del self._ids[self._end_offsets[-1] if self._end_offsets else 0 :]

    def build(self) -> Entries:
        """The images, sorted by id. The builder can't be used afterwards."""

        def column(values: array[Any], dtype: str) -> NDArray[Any]:
            return np.frombuffer(values, dtype) if values else np.zeros(0, dtype)

        entries = Entries(
            Strings(self._ids, column(self._end_offsets, "i8")),
            column(self._sizes, "i8"),
            column(self._mtimes_ns, "i8"),
            column(self._splits, "i1"),
            column(self._labels, "i4"),
            column(self._label_ends, "i8"),
            column(self._parts, "i4"),
            column(self._offsets, "i8"),
        )
        order = array("q", sorted(range(len(entries)), key=entries.ids.__getitem__))
        return entries.take(column(order, "i8"))
