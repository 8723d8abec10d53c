"""STL-10's binary files: `train_X.bin` with `train_y.bin`, `test_X.bin`, `unlabeled_X.bin`.

Format: cs.stanford.edu/~acoates/stl10. An image is 27,648 bytes, all red first, a column after the
other; a label is a byte, the first class 1. Nothing marks such a file, so names and sizes tell.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vitctl.errors import InputError
from vitctl.ingest.choices import Choices
from vitctl.ingest.listing import Listing
from vitctl.ingest.sources.array_files import ArrayFile, parts_of
from vitctl.ingest.sources.arrays import Block, Labelled, blocks_listing

_SIDE = 96
_PIXEL_BYTES = 3 * _SIDE * _SIDE
_CLASSES = 10
_NAME = re.compile(r"(train|test|unlabeled)_(X|y)\.bin", re.IGNORECASE)


def is_stl10(head: bytes, file: ArrayFile) -> bool:
    match = _NAME.fullmatch(file.base)
    if match is None:
        return False
    return file.size > 0 and (match[2].lower() == "y" or file.size % _PIXEL_BYTES == 0)


def list_stl10(given: str, files: Sequence[ArrayFile], choices: Choices) -> Listing:
    """The images of STL-10's files; those without labels only where labels are not taken."""
    for file in files:
        if not is_stl10(b"", file):
            raise InputError(
                f"{file.shown} is none of STL-10's files",
                hint="give train_X.bin and test_X.bin; the labels are read from beside them",
            )
    of_images = {file.base.lower()[: -len("x.bin")] for file in files if _is_of_images(file)}
    cautions = [
        f"{file.shown} holds labels of images that are not among the given files"
        for file in files
        if file.base.lower()[: -len("x.bin")] not in of_images
    ]
    files = [file for file in files if _is_of_images(file)]
    labelled = [file for file in files if not file.base.lower().startswith("unl")]
    notes = []
    if choices.takes_labels:
        if not labelled:
            raise InputError(
                f"{given} has no labels",
                hint="give train_X.bin and test_X.bin, or shard without labels: --unlabelled",
            )
        if len(labelled) < len(files):
            notes.append(
                "unlabeled_X.bin is left out, since its images have no labels; all images without "
                "labels: --unlabelled"
            )
        files = labelled
    parts, numbers = parts_of(files)
    blocks = []
    for file, number in zip(files, numbers, strict=True):
        kind = file.base.lower().removesuffix("_x.bin")
        name = "train_unlabeled" if kind == "unlabeled" else kind
        size = (file.size // _PIXEL_BYTES, _SIDE, _SIDE)
        block = Block(name, number, file.inside, 0, size, 3, by_column=True)
        values = np.full(block.count, -1, np.int64)
        if choices.takes_labels:
            values = _labels(file, block.count) - 1
        blocks.append(Labelled(block, values))
    names = files[0].lines_beside("class_names.txt") if files else None
    if names is None:
        names = [str(label) for label in range(1, _CLASSES + 1)]
    return blocks_listing(
        given, parts, blocks, "STL-10", choices, names=names, cautions=cautions, notes=notes
    )


def _is_of_images(file: ArrayFile) -> bool:
    return file.base.lower().endswith("_x.bin")


def _labels(images: ArrayFile, count: int) -> NDArray[np.int64]:
    """Of the file beside that of the images: 1 to 10."""
    base = images.base[: -len("X.bin")] + "y.bin"
    labels = images.beside(base)
    if labels is None:
        raise InputError(
            f"the labels of {images.shown} are not beside it ({base})",
            hint="put the file there, or shard without labels: --unlabelled",
        )
    with labels.opened() as stream:
        data = stream.read(count + 1)
    if len(data) != count:
        have = f"{len(data):,}" if len(data) < count else f"more than {count:,}"
        raise InputError(f"{labels.shown} has {have} labels for {count:,} images")
    values = np.frombuffer(data, np.uint8).astype(np.int64)
    if values.min() < 1 or values.max() > _CLASSES:
        raise InputError(f"{labels.shown} has labels other than 1 to {_CLASSES}")
    return values
