"""IDX, as MNIST and its kin come: `train-images-idx3-ubyte.gz` with `train-labels-idx1-ubyte.gz`.

Format: yann.lecun.com/exdb/mnist. Two zero bytes, the type, the number of axes, their lengths.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vitctl.errors import InputError
from vitctl.ingest.choices import Choices
from vitctl.ingest.listing import Listing
from vitctl.ingest.parts import DamagedError
from vitctl.ingest.sources.array_files import ArrayFile, parts_of
from vitctl.ingest.sources.arrays import (
    MOST_EXPANSION,
    MOST_LABEL_BYTES,
    Block,
    Labelled,
    blocks_listing,
)
from vitctl.ingest.table import part_names
from vitctl.text.quantities import first_few

_COMMON_WORD = re.compile(
    r"train|training|t10k|test|testing|val|valid|validation|images?|data|labels?|idx\d|ubyte|gz|\d+"
)
_EMNIST = (
    "EMNIST stores its pictures with rows and columns exchanged, and they are taken as they are "
    "stored: lying on their side beside MNIST's"
)


def list_idx(
    given: str,
    files: Sequence[ArrayFile],
    choices: Choices,
) -> Listing:
    """The images of IDX files, with the files of labels of the same names."""
    parts, numbers_of_parts = parts_of(files)
    names = part_names([file.name for file in files])
    shapes = [_idx_shape(file) for file in files]
    numbers = {_pair(name): i for i, name in enumerate(names) if len(shapes[i]) == 1}
    blocks = []
    cautions: list[str] = []
    for file, number, name, shape in zip(files, numbers_of_parts, names, shapes, strict=True):
        if len(shape) == 1:
            continue
        if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)):
            raise InputError(
                f"{file.shown} holds an array of {' x '.join(map(str, shape))}, no images",
                hint="images are N x HEIGHT x WIDTH of bytes",
            )
        channels = shape[3] if len(shape) == 4 else 1
        block = Block(
            name.replace("t10k", "test"),
            number,
            file.inside,
            4 + 4 * len(shape),
            (shape[0], shape[1], shape[2]),
            channels,
        )
        block = _whole(block, file, cautions)
        of_labels = numbers.get(_pair(name))
        values = np.full(block.count, -1, np.int64)
        if of_labels is not None and choices.takes_labels:
            values = _idx_labels(files[of_labels], shapes[of_labels][0])
            if len(values) != block.count:
                raise InputError(
                    f"{files[of_labels].shown} has {len(values):,} labels, and {file.shown} "
                    f"{block.count:,} images"
                )
        elif choices.takes_labels:
            raise InputError(
                f"the labels of {file.shown} are not among the given files",
                hint=f"give both, as '{os.path.dirname(given) or '.'}/*ubyte*', or shard without "
                "labels: --unlabelled",
            )
        blocks.append(Labelled(block, values))
    pairs = {_pair(name) for name, shape in zip(names, shapes, strict=True) if len(shape) > 1}
    for name, number in numbers.items():
        if name not in pairs:
            cautions.append(
                f"{files[number].shown} holds labels of images that are not among the given files"
            )
    images = [file for file, shape in zip(files, shapes, strict=True) if len(shape) > 1]
    sets = list(dict.fromkeys(_set_name(file.base) for file in images))
    if len(sets) > 1:
        cautions.append(
            f"{given} holds files of {len(sets):,} sets ({first_few(sets, most=6)}), which are "
            "taken as one: the same number is the same class in all; give the files of one by a "
            "pattern of their names, if it is not"
        )
    notes = [_EMNIST] if any(file.base.lower().startswith("emnist") for file in images) else []
    return blocks_listing(given, parts, blocks, "IDX", choices, cautions=cautions, notes=notes)


def _set_name(base: str) -> str:
    """The name of a file without what tells split, number and content: `emnist-letters`."""
    pieces = re.split(r"[-_. ]+", base.lower())
    own = [piece for piece in pieces if not _COMMON_WORD.fullmatch(piece)]
    return "-".join(own) or "unnamed"


def is_idx(head: bytes, file: ArrayFile) -> bool:
    return len(head) > 8 and head[:2] == b"\0\0" and head[2] == 8 and head[3] in (1, 3, 4)


def _idx_shape(file: ArrayFile) -> tuple[int, ...]:
    try:
        with file.opened() as stream:
            head = stream.read(4 + 4 * 4)
    except DamagedError as error:
        raise InputError(f"{file.shown} can't be read {error}") from None
    if len(head) < 8 or head[:2] != b"\0\0" or not 1 <= head[3] <= 4 or len(head) < 4 + 4 * head[3]:
        raise InputError(f"{file.shown} is no IDX file")
    if head[2] != 8:
        raise InputError(
            f"{file.shown} is an IDX file of numbers other than bytes", hint="write them as bytes"
        )
    return tuple(np.frombuffer(head, ">u4", head[3], 4).tolist())


def _whole(block: Block, file: ArrayFile, cautions: list[str]) -> Block:
    """The block with the images that the file can have room for."""
    with file.opened() as stream:
        whole = file.size * MOST_EXPANSION if stream.end is None else stream.end
    room = whole - block.offset
    count = min(block.count, max(0, room) // max(1, block.pixel_bytes))
    if count < block.count:
        cautions.append(
            f"{file.shown} should hold {block.count:,} images and ends after {count:,}; these are "
            "taken"
        )
    return replace(block, shape=(count, *block.shape[1:]))


def _idx_labels(file: ArrayFile, count: int) -> NDArray[np.int64]:
    if count > MOST_LABEL_BYTES:
        raise InputError(f"{file.shown} claims {count:,} labels")
    try:
        with file.opened() as stream:
            stream.skip(8)
            return np.frombuffer(stream.read(count), np.uint8).astype(np.int64)
    except DamagedError as error:
        raise InputError(f"{file.shown} can't be read {error}") from None


def _pair(name: str) -> str:
    """What files of images and of their labels have in common."""
    return re.sub(r"images|labels|idx\d|\.", "", name)
