"""Some images of a source, without a copy of any.

images-train.rows   uint32[n] or uint64[n] little-endian, ascending: positions in the source
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitctl.data.classes import class_mapping, map_labels
from vitctl.data.columns import Column, Computed, most_bytes_of
from vitctl.data.config import AugmentConfig
from vitctl.data.dataset import DESCRIPTION, FORMAT_OF_PARTS, DatasetInfo, SplitInfo
from vitctl.data.image_cost import ImageCost
from vitctl.data.image_source import ImageSource
from vitctl.data.order import Order
from vitctl.data.parts import DatasetRef, SubsetInfo
from vitctl.data.read_clock import ReadClock
from vitctl.data.records import ChosenRecords, Records
from vitctl.data.views import Request, View
from vitctl.errors import InputError
from vitctl.places import Place

Rows = NDArray[Any]
"""int[n] positions in a split, ascending."""


HINT = "make the dataset again with --force, or copy it again from where it is whole"


@dataclass(frozen=True)
class Subset:
    """The images of `source` at `rows` (split -> positions, in that order); splits that are not
    among them are as they were. Classes that `info` does not have are no labels."""

    source: ImageSource
    rows: Mapping[str, Rows]
    info: DatasetInfo

    def keys(self, split: str) -> Column:
        return self._own(self.source.keys(split), split, what="sample keys")

    def labels(self, split: str) -> Column:
        """Numbers of other classes than the source's are computed of the images that are asked for:
        a batch needs few of them, and its shape those of one."""
        labels = self._own(self.source.labels(split), split, what="labels")
        theirs = self.source.info.classes
        if self.info.classes == theirs:
            return labels
        mapping = mapping_between(theirs, self.info.classes)

        def rows(positions: NDArray[np.int64]) -> NDArray[np.int32]:
            return renumbered(labels[positions], mapping)

        return Computed(len(labels), rows, what="labels", most_bytes=most_bytes_of(labels))

    def order(self, split: str) -> Order:
        whole = self.source.order(split)
        return whole.restricted(self.rows[split]) if split in self.rows else whole

    def images(
        self,
        requests: Iterable[Request],
        *,
        split: str,
        view: View,
        batch: int,
        workers: int | None = None,
        clock: ReadClock | None = None,
    ) -> Iterator[NDArray[np.float32]]:
        theirs = ((self._theirs(indices, split), seeds) for indices, seeds in requests)
        return self.source.images(
            theirs, split=split, view=view, batch=batch, workers=workers, clock=clock
        )

    def records(self, split: str) -> Records:
        records = self.source.records(split)
        return ChosenRecords(records, self.rows[split]) if split in self.rows else records

    def ids(self, split: str, positions: NDArray[np.int64]) -> Sequence[str | None]:
        return self.source.ids(split, self._theirs(positions, split))

    def image_cost(
        self, *, split: str, resolution: int, augment: AugmentConfig
    ) -> ImageCost | None:
        return self.source.image_cost(split=split, resolution=resolution, augment=augment)

    def _own(self, column: Column, split: str, *, what: str) -> Column:
        """The rows of the source's column that are these images'; an array of an array."""
        if split not in self.rows:
            return column
        rows = self.rows[split]
        if isinstance(column, np.ndarray):
            return column[rows]
        # The rows are in memory, and a column of them is about as large.
        return Computed(len(rows), lambda at: column[rows[at]], what=what, most_bytes=None)

    def _theirs(self, positions: NDArray[np.int64], split: str) -> NDArray[np.int64]:
        return self.rows[split][positions].astype(np.int64) if split in self.rows else positions


class RowFiles(Mapping[str, Rows]):
    """Split -> its rows in a source, as the files in `folder` have them. Each is read when it is
    first asked for: a copy for training has those of its splits alone."""

    def __init__(self, folder: Place, *, info: DatasetInfo, within: DatasetInfo) -> None:
        """`info` describes the subset, `within` the source."""
        assert info.subset is not None
        self._folder, self._info, self._within = folder, info, within
        self._subset = info.subset
        self._read: dict[str, Rows] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._subset.splits)

    def __len__(self) -> int:
        return len(self._subset.splits)

    def __contains__(self, split: object) -> bool:
        return split in self._subset.splits

    def __getitem__(self, split: str) -> Rows:
        """Raises `InputError` where the file is not one of ascending rows of the source."""
        if split not in self._subset.splits:
            raise KeyError(split)
        if split not in self._read:
            self._read[split] = self._rows(split)
        return self._read[split]

    def _rows(self, split: str) -> Rows:
        path = self._folder / rows_name(split)
        count, most = self._info.examples(split), self._within.examples(split)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            content = b""
        if len(content) != count * self._subset.row_bytes:
            raise InputError(
                f"{path} does not hold the {count:,} row numbers of the split", hint=HINT
            )
        rows = np.frombuffer(content, f"<u{self._subset.row_bytes}")
        if (rows[-1:] >= most).any() or (rows[1:] <= rows[:-1]).any():
            raise InputError(
                f"{path} holds row numbers that are not ascending and below {most:,}", hint=HINT
            )
        return rows


def subset_of(source: ImageSource, rows: Mapping[str, Rows]) -> Subset:
    """The images of `source` at `rows`, of the same classes."""
    return Subset(source, rows, source.info.model_copy(update={"splits": splits_of(source, rows)}))


def splits_of(source: ImageSource, rows: Mapping[str, Rows]) -> dict[Any, SplitInfo]:
    """The splits of a subset, none where no image is left."""
    examples = {
        split: len(rows[split]) if split in rows else info.examples
        for split, info in source.info.splits.items()
    }
    return {
        split: SplitInfo(shard_lengths=(count,), record_bytes=0)
        for split, count in examples.items()
        if count
    }


def described(
    source: ImageSource,
    rows: Mapping[str, Rows],
    *,
    of: DatasetRef,
    classes: tuple[str, ...],
    class_titles: tuple[str, ...] | None,
) -> DatasetInfo:
    """The description of the images of `source`, which is the dataset `of`, at `rows`."""
    info = source.info
    most = max(part.examples for part in info.splits.values())
    splits = splits_of(source, rows)
    return DatasetInfo(
        format=FORMAT_OF_PARTS,
        classes=classes,
        class_titles=class_titles,
        multi_label=info.multi_label,
        max_labels=info.max_labels,
        splits=splits,
        subset=SubsetInfo(
            dataset=of,
            row_bytes=4 if most <= 2**32 else 8,
            splits=tuple(split for split in splits if split in rows),
        ),
    )


def write_subset(folder: Place, info: DatasetInfo, rows: Mapping[str, Rows]) -> None:
    """The files of a subset, as `info` describes it."""
    assert info.subset is not None
    for split in info.subset.splits:
        stored = rows[split].astype(f"<u{info.subset.row_bytes}")
        (folder / rows_name(split)).write_atomic(stored.tobytes())
    (folder / DESCRIPTION).write_atomic(info.as_document())


def mapping_between(before: Sequence[str], after: Sequence[str]) -> NDArray[np.int32]:
    """int32[len(before)]: the number of each class among those `after`, -1 where it is none."""
    names = set(after)
    mapping = np.full(len(before), -1, np.int32)
    stays = np.array([name in names for name in before], bool)
    mapping[stays] = class_mapping(dataset=[name for name in before if name in names], model=after)
    return mapping


def renumbered(labels: NDArray[np.int32], mapping: NDArray[np.int32]) -> NDArray[np.int32]:
    """int32[..., L]: labels under a mapping of their numbers. Those of classes that are none any
    more go, and what is left of an image's moves to the front."""
    labels = map_labels(labels, mapping)
    order = np.argsort(labels < 0, axis=-1, kind="stable")
    return np.take_along_axis(labels, order, axis=-1)


def rows_name(split: str) -> str:
    return f"images-{split}.rows"
