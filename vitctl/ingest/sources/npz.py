"""npz with arrays of images and of labels: `x_train` and `y_train`, or `train_images` and so on.

Arrays that are pickles are refused: they can run code.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vitctl.data.names import text_of
from vitctl.errors import InputError, VitctlError
from vitctl.ingest.choices import Choices
from vitctl.ingest.listing import Listing
from vitctl.ingest.parts import DamagedError
from vitctl.ingest.sources.array_files import ArrayFile, parts_of
from vitctl.ingest.sources.arrays import (
    MOST_EXPANSION,
    MOST_LABEL_BYTES,
    Block,
    Content,
    Labelled,
    blocks_listing,
)
from vitctl.ingest.table import part_names
from vitctl.text.quoting import one_line

_PAIRS = (
    *(("x", "y"), ("X", "Y"), ("X", "y"), ("images", "labels"), ("image", "label")),
    *(("data", "labels"), ("arr_0", "arr_1")),
)


def list_npz(
    given: str,
    files: Sequence[ArrayFile],
    choices: Choices,
) -> Listing:
    """The images of npz files: arrays of bytes, with the arrays of labels of the same names."""
    parts, numbers = parts_of(files)
    names = part_names([file.name for file in files])
    blocks = []
    for file, number, name in zip(files, numbers, names, strict=True):
        prefix = f"{name}/" if len(files) > 1 else ""
        try:
            with file.opened_at_random() as opened, zipfile.ZipFile(opened) as archive:
                for member in _image_arrays(archive, file.shown):
                    block = _npz_block(archive, member, number, file, prefix)
                    values = np.full(block.count, -1, np.int64)
                    if choices.takes_labels:
                        values = _npz_labels(archive, member, block, file.shown)
                    blocks.append(Labelled(block, values))
        except (VitctlError, DamagedError):
            raise
        except Exception as error:  # zipfile and numpy raise what the bytes make them raise
            raise InputError(f"{file.shown} can't be read ({one_line(error)})") from None
    return blocks_listing(given, parts, blocks, "npz", choices)


def is_npz(head: bytes, file: ArrayFile) -> bool:
    name_bytes = int.from_bytes(head[26:28], "little")
    return head.startswith(b"PK\3\4") and head[30 : 30 + name_bytes].endswith(b".npy")


def _image_arrays(archive: zipfile.ZipFile, shown: str) -> list[str]:
    """The members that hold images: three or four axes."""
    members = [name for name in archive.namelist() if name.endswith(".npy")]
    return [name for name in members if len(_npy_header(archive, name, shown)[1]) in (3, 4)]


def _npy_header(
    archive: zipfile.ZipFile, member: str, shown: str
) -> tuple[int, tuple[int, ...], bool, np.dtype]:
    """(bytes before the values, shape, whether Fortran's order, type)."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read(file)
        if dtype.hasobject:
            raise InputError(
                f"the array {member} of {shown} is a pickle, which can run any code when it "
                "is read, so it is not",
                hint="save it as numbers: numpy.savez(FILE, x_train=images.astype('uint8'), "
                "y_train=labels.astype('int64'))",
            )
        return file.tell(), shape, fortran, dtype


def _npz_block(
    archive: zipfile.ZipFile, member: str, number: int, file: ArrayFile, prefix: str
) -> Block:
    shown = file.shown
    header_size, shape, fortran, dtype = _npy_header(archive, member, shown)
    name = member.removesuffix(".npy")
    planar = len(shape) == 4 and shape[3] not in (1, 3) and shape[1] in (1, 3)
    if planar:
        shape = (shape[0], shape[2], shape[3], shape[1])
    if (
        min(shape) < 1
        or dtype != np.uint8
        or fortran
        or (len(shape) == 4 and shape[3] not in (1, 3))
    ):
        raise InputError(
            f"the array {name} of {shown} is {dtype} of {' x '.join(map(str, shape))}, which "
            "are no images as bytes",
            hint="save images as N x HEIGHT x WIDTH or N x HEIGHT x WIDTH x 3 of uint8, 0 to 255",
        )
    info = archive.getinfo(member)
    channels = shape[3] if len(shape) == 4 else 1
    set_name = re.sub(r"(?:^|_)(?:x|images?|data)(?=_|$)", "", name, flags=re.IGNORECASE).strip("_")
    block = Block(
        prefix + text_of(set_name.encode()) or prefix + text_of(name.encode()),
        number,
        file.inside,
        header_size,
        (shape[0], shape[1], shape[2]),
        channels,
        planar=planar,
        array=member,
    )
    if block.count * block.pixel_bytes + header_size > info.compress_size * MOST_EXPANSION:
        raise InputError(f"the array {name} of {shown} claims more than its file can hold")
    return block


def _npz_labels(
    archive: zipfile.ZipFile, member: str, block: Block, shown: str
) -> NDArray[np.int64]:
    name = member.removesuffix(".npy")
    for images, labels in _PAIRS:
        candidate = re.sub(rf"(^|_){images}(?=_|$)", rf"\1{labels}", name) + ".npy"
        if candidate in archive.namelist() and candidate != f"{name}.npy":
            break
    else:
        raise InputError(
            f"{shown} has no array of labels for {name} (it has "
            f"{', '.join(archive.namelist()[:8])})",
            hint="name them x_train and y_train, or shard without labels: --unlabelled",
        )
    header_size, shape, _, dtype = _npy_header(archive, candidate, shown)
    values = int(np.prod(shape))
    if values != block.count or dtype.kind not in "iu" or values * 8 > MOST_LABEL_BYTES:
        raise InputError(
            f"the array {candidate} of {shown} is {dtype} of {' x '.join(map(str, shape))}, "
            f"and there are {block.count:,} images",
            hint="labels are one whole number an image",
        )
    with archive.open(candidate) as values_file:
        content = Content(values_file)
        content.skip(header_size)
        data = content.read(values * dtype.itemsize)
    if len(data) < values * dtype.itemsize:
        raise InputError(f"the array {candidate} of {shown} breaks off")
    return np.frombuffer(data, dtype).astype(np.int64)
