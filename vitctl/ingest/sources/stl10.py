"""STL-10's binary files: `train_X.bin` with `train_y.bin`, `test_X.bin`, `unlabeled_X.bin`.

Format: cs.stanford.edu/~acoates/stl10. An image is 27,648 bytes, all red first, a column after the
other; a label is a byte, the first class 1. Nothing marks such a file, so names and sizes tell.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vitctl.errors import InputError
from vitctl.ingest.choices import Choices
from vitctl.ingest.listing import Listing
from vitctl.ingest.parts import Part
from vitctl.ingest.sources.arrays import Block, Labelled, blocks_listing, names_beside

_SIDE = 96
_PIXEL_BYTES = 3 * _SIDE * _SIDE
_CLASSES = 10
_NAME = re.compile(rb"(train|test|unlabeled)_(X|y)\.bin", re.IGNORECASE)


def is_stl10(head: bytes, path: bytes) -> bool:
    match = _NAME.fullmatch(os.path.basename(path))
    if match is None:
        return False
    size = os.stat(path).st_size
    return size > 0 and (match[2].lower() == b"y" or size % _PIXEL_BYTES == 0)


def list_stl10(given: str, paths: Sequence[bytes], choices: Choices) -> Listing:
    """The images of STL-10's files; those without labels only where labels are not taken."""
    for path in paths:
        if not is_stl10(b"", path):
            raise InputError(
                f"{os.fsdecode(path)} is none of STL-10's files",
                hint="give train_X.bin and test_X.bin; the labels are read from beside them",
            )
    paths = [path for path in paths if os.path.basename(path).lower().endswith(b"_x.bin")]
    labelled = [path for path in paths if not os.path.basename(path).lower().startswith(b"unl")]
    notes = []
    if choices.takes_labels:
        if not labelled:
            raise InputError(
                f"{given} has no labels",
                hint="give train_X.bin and test_X.bin, or shard without labels: --unlabelled",
            )
        if len(labelled) < len(paths):
            notes.append(
                "unlabeled_X.bin is left out, since its images have no labels; all images without "
                "labels: --unlabelled"
            )
        paths = labelled
    parts = tuple(Part.of(path) for path in paths)
    blocks = []
    for number, part in enumerate(parts):
        kind = os.fsdecode(os.path.basename(part.path)).lower().removesuffix("_x.bin")
        name = "train_unlabeled" if kind == "unlabeled" else kind
        size = (part.size // _PIXEL_BYTES, _SIDE, _SIDE)
        block = Block(name, number, None, 0, size, 3, by_column=True)
        values = np.full(block.count, -1, np.int64)
        if choices.takes_labels:
            values = _labels(part, block.count) - 1
        blocks.append(Labelled(block, values))
    names = names_beside(parts[0].path, "class_names.txt") if parts else None
    if names is None:
        names = [str(label) for label in range(1, _CLASSES + 1)]
    return blocks_listing(given, parts, blocks, "STL-10", choices, names=names, notes=notes)


def _labels(images: Part, count: int) -> NDArray[np.int64]:
    """Of the file beside that of the images: 1 to 10."""
    folder, name = os.path.split(images.path)
    path = os.path.join(folder, name[: -len(b"X.bin")] + b"y.bin")
    try:
        with open(path, "rb") as file:
            data = file.read(count + 1)
    except OSError:
        raise InputError(
            f"the labels of {images.shown} are not beside it ({os.fsdecode(path)})",
            hint="put the file there, or shard without labels: --unlabelled",
        ) from None
    if len(data) != count:
        have = f"{len(data):,}" if len(data) < count else f"more than {count:,}"
        raise InputError(f"{os.fsdecode(path)} has {have} labels for {count:,} images")
    values = np.frombuffer(data, np.uint8).astype(np.int64)
    if values.min() < 1 or values.max() > _CLASSES:
        raise InputError(f"{os.fsdecode(path)} has labels other than 1 to {_CLASSES}")
    return values
