"""CIFAR's binary files: `data_batch_1.bin` to 5 and `test_batch.bin`; `train.bin` and `test.bin`.

Format: cs.toronto.edu/~kriz/cifar.html. An image is its label (CIFAR-100: coarse, then fine) and
3,072 bytes, all red first. Nothing marks such a file, so sizes and labels tell.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

import numpy as np

from vitctl.errors import InputError
from vitctl.ingest.choices import Choices
from vitctl.ingest.listing import Listing
from vitctl.ingest.parts import Part
from vitctl.ingest.sources.arrays import Block, Labelled, blocks_listing, names_beside
from vitctl.ingest.table import part_names

_PIXEL_BYTES = 3 * 32 * 32
_MOST_CHECKED = 1000


def list_cifar(
    given: str,
    paths: Sequence[bytes],
    choices: Choices,
) -> Listing:
    """The images of CIFAR's binary files, with the names of classes that lie beside them."""
    parts = tuple(Part.of(path) for path in paths)
    blocks = []
    kinds = {_cifar_skip(part.path) for part in parts}
    skip = kinds.pop()
    if skip is None or kinds:
        raise InputError(
            f"{given} names files that are not all of CIFAR-10 or all of CIFAR-100",
            hint="give data_batch_1.bin to data_batch_5.bin and test_batch.bin, or train.bin and "
            "test.bin",
        )
    for number, (part, name) in enumerate(zip(parts, part_names(paths), strict=True)):
        stride = skip + _PIXEL_BYTES
        name = re.sub(r"data_batch", "train", name)
        block = Block(name, number, None, 0, (part.size // stride, 32, 32), 3, skip, True)
        with open(part.path, "rb") as file:
            values = np.empty(block.count, np.int64)
            for i in range(block.count):
                file.seek(i * stride + skip - 1)  # the last is the fine label
                values[i] = file.read(1)[0]
        blocks.append(Labelled(block, values))
    metadata = "batches.meta.txt" if skip == 1 else "fine_label_names.txt"
    names = names_beside(parts[0].path, metadata)
    kind = "CIFAR-10" if skip == 1 else "CIFAR-100 (fine labels)"
    return blocks_listing(given, parts, blocks, kind, choices, names=names)


def is_cifar(head: bytes, path: bytes) -> bool:
    return path.lower().endswith(b".bin") and _cifar_skip(path) is not None


def _cifar_skip(path: bytes) -> int | None:
    """How many bytes of labels each image has; None if the file is none of CIFAR's."""
    size = os.stat(path).st_size
    for skip, most in ((1, (10,)), (2, (20, 100))):
        stride = skip + _PIXEL_BYTES
        count = size // stride
        if size % stride or not count:
            continue
        with open(path, "rb") as file:
            for i in range(min(count, _MOST_CHECKED)):
                file.seek(i * stride)
                if any(label >= limit for label, limit in zip(file.read(skip), most, strict=True)):
                    break
            else:
                return skip
    return None
