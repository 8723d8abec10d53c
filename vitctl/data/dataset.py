"""The dataset artifact on disk, and how it is opened. No TensorFlow, no shard is read here.

    dataset.json                             classes, splits, shard lengths: what we go by
    images-train.array_record-00000-of-00002 records: tf.train.Example(image, label, id)
    images-train.keys                        uint64[n] little-endian: first 8 bytes of sha256(id)
    images-train.labels                      int32[n, L] little-endian, padded with -1
    dataset_info.json features.json label.labels.txt
                                             so that TensorFlow Datasets reads the folder as it is

    images-train.rows                        of a dataset that is some images of another, in place
                                             of all files but the first: `vitctl.data.subset`

Of the images of another dataset under labels of their own, `images-train.labels` is all that lies
here beside the first file: `vitctl.data.relabelled`.

The two side files are in the order of the records. They make the sample digest, class counts and
few-shot draws arithmetic on arrays, without touching an image.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from vitctl.artifacts.documents import document_bytes, read_document
from vitctl.data.config import AugmentConfig
from vitctl.data.image_cost import ImageCost
from vitctl.data.order import Shuffled
from vitctl.data.parts import MixtureInfo, RelabelledInfo, SubsetInfo
from vitctl.data.ranged_records import RangedRecords, RangedShard
from vitctl.data.read_clock import ReadClock
from vitctl.data.records import Records, Shard, ShardedRecords, read_examples
from vitctl.data.views import Request, View
from vitctl.errors import InputError, NotFoundError
from vitctl.formula.family import FormulaConfig
from vitctl.hardware.machine import available_cores
from vitctl.places import Place, place
from vitctl.settings.config import Config
from vitctl.text.quoting import quoted

FORMAT = 1
FORMAT_OF_PARTS = 2
"""Of datasets that are made of others, which older versions refuse by it."""
FORMAT_OF_LABELS = 3
"""Of datasets whose labels alone are their own, which came later."""
NEWEST_FORMAT = FORMAT_OF_LABELS
DESCRIPTION = "dataset.json"
STEM = "images"

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

_REMAKE = "make the dataset again with `vitctl shard`, or copy it again from where it is whole"


MOST_EXAMPLES = 2**53
"""Of a split. A float counts so far, and positions in many epochs of it fit 64 bits."""


class SplitInfo(Config):
    """How many records, in which files."""

    shard_lengths: tuple[Annotated[int, Field(ge=0, le=MOST_EXAMPLES)], ...]
    record_bytes: int = Field(ge=0)

    @model_validator(mode="after")
    def _countable(self) -> SplitInfo:
        if self.examples > MOST_EXAMPLES:
            raise ValueError(f"more than {MOST_EXAMPLES:,} records")
        return self

    @property
    def examples(self) -> int:
        return sum(self.shard_lengths)


class DatasetInfo(Config):
    """The content of `dataset.json`."""

    format: int = FORMAT
    classes: tuple[str, ...]
    """In the order of their numbers; none where the images have no labels."""
    class_titles: tuple[str, ...] | None = None
    """Readable names in the order of `classes`; a class without one repeats its name."""
    multi_label: bool = False
    max_labels: int = 1
    """L: the most labels any image has."""
    splits: dict[Split, SplitInfo]
    formula: FormulaConfig | None = None
    """Whose pictures these are, where they are made when they are read and no shard holds them."""
    subset: SubsetInfo | None = None
    """Of which dataset these are some images, where no shard here holds them."""
    mixture: MixtureInfo | None = None
    """Of which datasets these are the images, where no shard here holds them."""
    relabelled: RelabelledInfo | None = None
    """Of which dataset these are the images, under the labels that lie here."""

    @model_serializer(mode="wrap")
    def _written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Datasets of files are described as they were before there were others."""
        tree: dict[str, Any] = handler(self)
        for name in ("formula", "subset", "mixture", "relabelled"):
            if tree[name] is None:
                del tree[name]
        return tree

    @property
    def has_shards(self) -> bool:
        """Whether shards beside the description hold the images, and side files their keys."""
        others = (self.formula, self.subset, self.mixture, self.relabelled)
        return all(other is None for other in others)

    @model_validator(mode="after")
    def _consistent(self) -> DatasetInfo:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("two classes have the same name")
        if self.class_titles is not None and len(self.class_titles) != len(self.classes):
            raise ValueError("there are not as many class titles as classes")
        return self

    def as_document(self) -> bytes:
        """The content of `dataset.json`."""
        return document_bytes(self)

    def examples(self, split: str) -> int:
        """Records in a split. Raises `NotFoundError` if there is no such split."""
        return self.split(split).examples

    def split(self, name: str) -> SplitInfo:
        for known, info in self.splits.items():
            if known == name:
                return info
        raise NotFoundError(
            f"the dataset has no split {quoted(name)}",
            hint=f"it has {', '.join(self.splits)}",
        )


@dataclass(frozen=True)
class Dataset:
    """A dataset artifact, opened."""

    path: Place
    info: DatasetInfo

    @staticmethod
    def load(path: Place | Path | str) -> Dataset:
        """Raises `NotFoundError` where there is no dataset, `InputError` where it is damaged."""
        path = place(path)
        info = read_document(
            path / DESCRIPTION,
            DatasetInfo,
            what="dataset",
            newest=NEWEST_FORMAT,
            missing=f"{path} is not a dataset (it has no {DESCRIPTION})",
            make="make one with `vitctl shard FOLDER`",
            repair=_REMAKE,
        )
        return Dataset(path, info)

    def shards(self, split: str) -> tuple[Shard, ...]:
        """The files of a split, which only a local dataset has; see `vitctl.data.local_shards`."""
        folder = self.path.local
        if folder is None:
            raise TypeError(f"expected a local folder, got {self.path}")
        return tuple(Shard(folder / path.name, records) for path, records in self._files(split))

    def records(self, split: str) -> Records:
        """Those of a dataset in a bucket are read one by one by requests: to look at a few."""
        if self.path.local is None:
            return RangedRecords([RangedShard(*each) for each in self._files(split)])
        return ShardedRecords(self.shards(split))

    def _files(self, split: str) -> Iterator[tuple[Place, int]]:
        """The files of a split, and how many records each must hold."""
        lengths = self.info.split(split).shard_lengths
        for i, records in enumerate(lengths):
            yield self.path / shard_name(split, index=i, shards=len(lengths)), records

    def keys(self, split: str) -> NDArray[np.uint64]:
        return self._side_file(keys_name(split), split=split, dtype="<u8", width=1).reshape(-1)

    def labels(self, split: str) -> NDArray[np.int32]:
        name, width = labels_name(split), self.info.max_labels
        labels = self._side_file(name, split=split, dtype="<i4", width=width)
        classes = len(self.info.classes)
        if labels.min(initial=0) < -1 or labels.max(initial=-1) >= classes:
            raise InputError(
                f"{self.path / name} has labels outside the {classes} classes", hint=_REMAKE
            )
        return labels

    def order(self, split: str) -> Shuffled:
        return Shuffled(self.info.examples(split))

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
        """See `ImageSource`; decoded by TensorFlow (5 to 10 s to import), few images that are
        scored by Pillow, in `workers` threads. Raises `InputError` naming shard and record."""
        from vitctl.data.decoding import record_images_in_order

        return record_images_in_order(
            lambda: self.records(split),
            requests,
            view=view,
            batch=batch,
            workers=workers or available_cores(),
            clock=clock,
        )

    def ids(self, split: str, positions: NDArray[np.int64]) -> list[str]:
        """The names in the records; raises `InputError` naming shard and record of a damaged
        one."""
        records = self.records(split)
        try:
            return [example.id for example in read_examples(records, positions)]
        finally:
            records.close()

    def image_cost(self, *, split: str, resolution: int, augment: AugmentConfig) -> ImageCost:
        """What an image costs to decode and to augment, of some that are tried now."""
        from vitctl.data import costs

        return costs.measure(self.records(split), resolution=resolution, augment=augment)

    def _side_file(self, name: str, *, split: str, dtype: str, width: int) -> NDArray:
        examples = self.info.examples(split)
        try:
            content = (self.path / name).read_bytes()
        except FileNotFoundError:
            raise InputError(f"{self.path / name} is missing", hint=_REMAKE) from None
        values = np.frombuffer(content, dtype, count=len(content) // np.dtype(dtype).itemsize)
        if values.size != examples * width:
            raise InputError(
                f"{self.path / name} holds {values.size:,} values "
                f"where {examples * width:,} were written",
                hint=_REMAKE,
            )
        return values.reshape(examples, width)


def shard_name(split: str, *, index: int, shards: int) -> str:
    return f"{STEM}-{split}.array_record-{index:05d}-of-{shards:05d}"


def keys_name(split: str) -> str:
    return f"{STEM}-{split}.keys"


def labels_name(split: str) -> str:
    return f"{STEM}-{split}.labels"


def check_classes(classes: int, *, dataset: Place) -> None:
    """Raise `InputError` for a dataset without classes, where they are needed."""
    if classes == 0:
        raise InputError(
            f"{dataset} has no labels (it was made with --unlabelled)",
            hint="give a dataset with labels; `vitctl shard` makes one of class folders, or with "
            "--labels FILE",
        )


def held_out(splits: Container[str]) -> Split | None:
    """The split that is not trained on: `val`, else `test`, else None."""
    held: tuple[Split, ...] = ("val", "test")
    return next((split for split in held if split in splits), None)


def scoring_split(info: DatasetInfo) -> Split:
    """The split scores are measured on unless told otherwise: `val`, else `test`.

    Raises `NotFoundError` when the dataset has neither.
    """
    if (split := held_out(info.splits)) is not None:
        return split
    raise NotFoundError(
        "the dataset has neither a val nor a test split to score on",
        hint="make one with `vitctl shard FOLDER --val-fraction 0.1`, "
        "or score the training images themselves with --eval-split train",
    )
