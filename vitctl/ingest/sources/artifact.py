"""A dataset artifact as a source: sharded again, of fewer classes or images, or in other shards."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from vitctl.artifacts import Artifact
from vitctl.data.dataset import DESCRIPTION, SPLITS
from vitctl.data.example import decode_example
from vitctl.data.image_source import ImageSource
from vitctl.data.local_shards import local_folder
from vitctl.data.opening import open_dataset
from vitctl.data.records import Records
from vitctl.errors import InputError, NotFoundError, UsageError, VitctlError
from vitctl.ingest.choices import Choices
from vitctl.ingest.columns import EntriesBuilder, Entry
from vitctl.ingest.listing import Access, Bytes, Listing
from vitctl.ingest.table import read_table

_RECORDS = 64


@dataclass(frozen=True)
class ArtifactImages:
    """Images of a dataset; `Entry.part` is the number of a split, `Entry.offset` of a record."""

    path: Path
    access: Access = "random"

    @contextmanager
    def reader(self) -> Iterator[_ArtifactReader]:
        reader = _ArtifactReader(_opened(Artifact.load(self.path)))
        try:
            yield reader
        finally:
            for records in reader.opened.values():
                records.close()


@dataclass
class _ArtifactReader:
    dataset: ImageSource
    opened: dict[int, Records] = field(default_factory=dict)

    @contextmanager
    def open(self, entry: Entry) -> Iterator[Bytes]:
        if entry.part not in self.opened:
            self.opened[entry.part] = self.dataset.records(SPLITS[entry.part])
        (record,) = self.opened[entry.part].read(np.array([entry.offset]))
        yield io.BytesIO(decode_example(record).image)


def _opened(artifact: Artifact) -> ImageSource:
    """A dataset whose images can be read here, also of one in a bucket that this one is made of."""
    return open_dataset(artifact, folder=partial(local_folder, splits=SPLITS))


def is_dataset(path: str) -> bool:
    """Whether a folder is a dataset artifact. Raises `InputError` for one with a damaged manifest,
    whose shards others would read without it."""
    try:
        return Artifact.load(Path(path), check=False).kind == "dataset"
    except NotFoundError:
        return False
    except VitctlError:
        if (Path(path) / DESCRIPTION).is_file():
            raise
        return False  # a folder like others


def list_artifact(
    given: str,
    choices: Choices,
) -> Listing:
    """The images of a dataset artifact, under the ids that they have in it. Raises `InputError`
    where it is damaged."""
    if choices.layout in ("classes", "inner-splits"):
        raise UsageError(
            f"--layout {choices.layout} is for folders, and {given} says itself what its "
            "classes are",
            hint="--layout flat takes its splits as one",
        )
    artifact = Artifact.load(Path(given))
    dataset = _opened(artifact)
    if (formula := dataset.info.formula) is not None:
        raise InputError(
            f"{given} holds a description of formula images, and no image",
            hint=f"store the images: vitctl shard formula --family {formula.family} --classes "
            f"{formula.classes} --per-class {formula.per_class} --val-per-class "
            f"{formula.val_per_class} --res {formula.resolution} --seed {formula.seed}",
        )
    builder = EntriesBuilder()
    for number, split in enumerate(SPLITS):
        if split not in dataset.info.splits:
            continue
        records, labels = dataset.records(split), dataset.labels(split)
        try:
            count = dataset.info.examples(split)
            for first in range(0, count, _RECORDS):
                rows = np.arange(first, min(first + _RECORDS, count))
                own = labels[rows].tolist()
                for row, record, numbers in zip(
                    rows.tolist(), records.read(rows), own, strict=True
                ):
                    try:
                        example = decode_example(record)
                    except ValueError as error:
                        where, position = records.locate(row)
                        raise InputError(f"record {position} of {where}: {error}") from None
                    builder.add(
                        example.id.encode(),
                        size=len(example.image),
                        mtime_ns=0,
                        split=None if choices.layout == "flat" else split,
                        labels=[label for label in numbers if label >= 0],
                        part=number,
                        offset=row,
                    )
        finally:
            records.close()
    splits = (
        "as one, without splits" if choices.layout == "flat" else ", ".join(dataset.info.splits)
    )
    listing = Listing(
        given,
        ArtifactImages(Path(given)),
        builder.build(),
        dataset.info.classes,
        reading=f"{given} is a dataset that vitctl made: its images and labels, {splits}",
        artifact=artifact,
    )
    return read_table(listing, choices)
