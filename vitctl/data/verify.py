"""Read every record of a dataset and compare it with what the dataset says of itself.

No TensorFlow: images were decoded when they were sharded, and their bytes are covered by the
checksums of ArrayRecord and of the artifact.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from vitctl.artifacts.staging import fetched
from vitctl.data.dataset import Dataset, shard_name
from vitctl.data.example import decode_example
from vitctl.data.image_source import ImageSource
from vitctl.data.order import sample_key
from vitctl.data.records import Records, Shard, ShardedRecords
from vitctl.errors import VitctlError
from vitctl.text.quoting import quoted

_BATCH = 256


def check_records(dataset: Dataset) -> Iterator[str]:
    """One sentence a problem; nothing where all is well."""
    for split in dataset.info.splits:
        try:
            yield from _check_split(dataset, split)
        except VitctlError as error:
            yield error.message


def check_parts(dataset: ImageSource) -> Iterator[str]:
    """Of a dataset that is made of others: every record that it uses, against its keys. Pictures
    that are made when they are read cannot be damaged."""
    for split in dataset.info.splits:
        with closing(dataset.records(split)) as records:
            keys = dataset.keys(split)
            for index, record in _each(records, records.stored()):
                path, position = records.locate(index)
                if isinstance(record, VitctlError):
                    yield record.message
                    continue
                problem = _problem(record, key=keys[np.array([index])][0])
                if problem is not None:
                    yield f"record {position} of {path} {problem}"


def _check_split(dataset: Dataset, split: str) -> Iterator[str]:
    keys, labels = dataset.keys(split), dataset.labels(split)
    if len(np.unique(keys)) != len(keys):
        yield f"two examples of {split} have the same id"
    offset = 0
    lengths = dataset.info.split(split).shard_lengths
    for index, length in enumerate(lengths):
        own = slice(offset, offset + length)
        offset += length
        name = shard_name(split, index=index, shards=len(lengths))
        try:
            with fetched(dataset.path, name) as here:
                yield from _check_shard(
                    Shard(here / name, length),
                    shown=str(dataset.path / name),
                    keys=keys[own],
                    labels=labels[own],
                )
        except VitctlError as error:
            yield error.message


def _check_shard(
    shard: Shard,
    *,
    shown: str,
    keys: NDArray[np.uint64],
    labels: NDArray[np.int32],
) -> Iterator[str]:
    """`shown` is where the shard belongs, `keys` and `labels` are what the index says of it."""
    with closing(ShardedRecords([shard])) as records:
        records.open()
        for position, record in _each(records, np.arange(len(records))):
            where = f"record {position} of {shown}"
            if isinstance(record, VitctlError):
                yield record.message
                continue
            problem = _problem(record, key=keys[position], labels=labels[position])
            if problem is not None:
                yield f"{where} {problem}"


def _problem(
    record: bytes, *, key: np.uint64, labels: NDArray[np.int32] | None = None
) -> str | None:
    """What is wrong with a record, to go on after its name. Without `labels` those of its example
    may be numbered otherwise."""
    try:
        example = decode_example(record)
    except ValueError as error:
        return f"can't be read: {error}"
    if sample_key(example.id) != key:
        return f"is {quoted(example.id)}, another example than the index says"
    if labels is None:
        return None
    known = tuple(label for label in labels.tolist() if label >= 0)
    if example.labels != known:
        return f"has the labels {example.labels}, the index says {known}"
    return None


def _each(
    records: Records, positions: NDArray[np.int64]
) -> Iterator[tuple[int, bytes | VitctlError]]:
    """The records at `positions`; where a batch can't be read, one by one, with the error in the
    place of a record."""
    for offset in range(0, len(positions), _BATCH):
        indices = positions[offset : offset + _BATCH]
        try:
            yield from zip(indices.tolist(), records.read(indices), strict=True)
        except VitctlError:
            for index in indices:
                try:
                    yield int(index), records.read(np.array([index]))[0]
                except VitctlError as error:
                    yield int(index), error
