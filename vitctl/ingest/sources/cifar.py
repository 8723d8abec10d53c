"""CIFAR's binary files: `data_batch_1.bin` to 5 and `test_batch.bin`; `train.bin` and `test.bin`.

Format: cs.toronto.edu/~kriz/cifar.html. An image is its label (CIFAR-100: coarse, then fine) and
3,072 bytes, all red first. Nothing marks such a file, so sizes and labels tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from vitctl.errors import InputError
from vitctl.ingest.choices import Choices
from vitctl.ingest.listing import Listing
from vitctl.ingest.parts import DamagedError
from vitctl.ingest.reading.streams import Stream
from vitctl.ingest.sources.array_files import ArrayFile, parts_of
from vitctl.ingest.sources.arrays import Block, Labelled, blocks_listing
from vitctl.ingest.table import part_names

_PIXEL_BYTES = 3 * 32 * 32
_MOST_CHECKED = 1000


def list_cifar(
    given: str,
    files: Sequence[ArrayFile],
    choices: Choices,
) -> Listing:
    """The images of CIFAR's binary files, with the names of classes that lie beside them."""
    parts, numbers = parts_of(files)
    blocks = []
    kinds = {_cifar_skip(file) for file in files}
    skip = kinds.pop()
    if skip is None or kinds:
        raise InputError(
            f"{given} names files that are not all of CIFAR-10 or all of CIFAR-100",
            hint="give data_batch_1.bin to data_batch_5.bin and test_batch.bin, or train.bin and "
            "test.bin",
        )
    names_of_files = part_names([file.name for file in files])
    for file, number, name in zip(files, numbers, names_of_files, strict=True):
        stride = skip + _PIXEL_BYTES
        name = re.sub(r"data_batch", "train", name)
        size = (file.size // stride, 32, 32)
        block = Block(name, number, file.inside, 0, size, 3, skip, True)
        with file.opened() as stream:
            # The last one is the fine label.
            values = [label[-1] for label in _labels(stream, skip, most=block.count)]
        blocks.append(Labelled(block, np.array(values, np.int64)))
    metadata = "batches.meta.txt" if skip == 1 else "fine_label_names.txt"
    names = files[0].lines_beside(metadata)
    kind = "CIFAR-10" if skip == 1 else "CIFAR-100 (fine labels)"
    return blocks_listing(given, parts, blocks, kind, choices, names=names)


def is_cifar(head: bytes, file: ArrayFile) -> bool:
    return file.name.lower().endswith(b".bin") and _cifar_skip(file) is not None


def _cifar_skip(file: ArrayFile) -> int | None:
    """How many bytes of labels each image has; None if the file is none of CIFAR's."""
    for skip, limits in ((1, (10,)), (2, (20, 100))):
        count, rest = divmod(file.size, skip + _PIXEL_BYTES)
        if rest or not count:
            continue
        with file.opened() as stream:
            first = list(_labels(stream, skip, most=min(count, _MOST_CHECKED)))
        if all(
            label < limit for labels in first for label, limit in zip(labels, limits, strict=True)
        ):
            return skip
    return None


def _labels(stream: Stream, skip: int, *, most: int) -> Iterator[bytes]:
    """The labels of each image. Raises `DamagedError` where the file ends before."""
    for _ in range(most):
        labels = stream.read(skip)
        if len(labels) < skip or stream.skip(_PIXEL_BYTES) < _PIXEL_BYTES:
            raise DamagedError(stream.at, "the file ends in the middle of an image")
        yield labels
