"""Pixels in MATLAB's files, version 5 to 7.2, with their labels.

    train_32x32.mat      X: HEIGHT x WIDTH x 3 x N, y: N, where 10 is the digit 0     SVHN
    data_batch_1.mat     data: N x 3072, all red first; labels: N                    CIFAR-10
    train.mat            data: N x 3072; fine_labels: N                              CIFAR-100

X is read as a stream. `data` lies with the first pixels of all images in front, so it is read
whole, of N images 3,072 N bytes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import IO

import numpy as np
from numpy.typing import NDArray

from vitctl.data.names import text_of
from vitctl.errors import InputError
from vitctl.ingest.choices import Choices
from vitctl.ingest.listing import Listing
from vitctl.ingest.parts import DamagedError
from vitctl.ingest.reading.mat_arrays import MatArray, mat_arrays
from vitctl.ingest.reading.matlab import is_hdf5_mat, is_mat, read_mat
from vitctl.ingest.sources.array_files import ArrayFile, parts_of
from vitctl.ingest.sources.arrays import (
    MOST_EXPANSION,
    MOST_LABEL_BYTES,
    Block,
    Labelled,
    blocks_listing,
    content_of,
)
from vitctl.ingest.table import part_names
from vitctl.text.quantities import first_few

_PAIRS = (("X", "y"), ("x", "y"), ("images", "labels"), ("data", "labels"), ("data", "fine_labels"))
_CIFAR_PIXELS = 3 * 32 * 32
_MOST_WHOLE_BYTES = 2**29
"""Of an array that is read whole; CIFAR's have 31 and 154 MB."""
_HEAD_BYTES = 128
_SVHN = re.compile(r"(train|test|extra)_32x32\.mat", re.IGNORECASE)
_METADATA = {"batches.meta.mat": "label_names", "meta.mat": "fine_label_names"}
"""CIFAR's file of names of classes -> the variable."""
_MOST_METADATA_BYTES = 2**20


def is_mat_file(head: bytes, file: ArrayFile) -> bool:
    return is_mat(head)


def check_not_hdf5(head: bytes, shown: str) -> None:
    """Raise InputError for a file of HDF5, as MATLAB 7.3 writes, too."""
    if not is_hdf5_mat(head):
        return
    if os.path.basename(shown).lower() == "digitstruct.mat":
        raise InputError(
            f"{shown} lists boxes of several digits a picture, of SVHN's full numbers; they are no "
            "labels of the pictures, and the file is of MATLAB 7.3 (HDF5), which is not read",
            hint="take SVHN's cropped digits, which come with a label each: "
            "'{train,test}_32x32.mat'",
        )
    raise InputError(
        f"{shown} is a file of HDF5 (as MATLAB 7.3 writes, too), which is not read",
        hint="with h5py installed: python -c \"import h5py, numpy; file = h5py.File('FILE'); "
        "numpy.savez('train.npz', x_train=file['IMAGES'][:], y_train=file['LABELS'][:])\", with "
        "images as N x HEIGHT x WIDTH x 3 bytes; or in MATLAB: save(FILE, '-v7')",
    )


def list_mat(given: str, files: Sequence[ArrayFile], choices: Choices) -> Listing:
    """The images of MATLAB's files: arrays of bytes, with the labels beside them."""
    parts, numbers = parts_of(files)
    blocks, notes = [], []
    names: list[str] | None = None
    kinds: set[str] = set()
    names_of_files = part_names([file.name for file in files])
    for file, number, name in zip(files, numbers, names_of_files, strict=True):
        base = file.base
        if len(files) > 1 and base.lower() in _METADATA:
            continue
        if base.lower().startswith("extra_"):  # SVHN's second set of images to train on
            notes.append(f"{base} is read as images to train on")
            name = re.sub(r"extra_(?!.*/)", "train_extra_", name, flags=re.IGNORECASE)
        name = re.sub(r"data_batch", "train", name)
        with file.opened_at_random() as opened:
            images, labels = _images_and_labels(opened, file.shown)
            block = _block(images, number, name, file)
            values = np.full(block.count, -1, np.int64)
            if choices.takes_labels:
                if labels is None:
                    raise InputError(
                        f"{file.shown} has no array of labels for {images.name}",
                        hint="call it y, or shard without labels: --unlabelled",
                    )
                values = _labels(opened, labels, block, file.shown)
        is_svhn = _SVHN.fullmatch(base) is not None
        is_counted_from_1 = values.size and {*values.tolist()} <= {*range(1, 11)}
        if choices.takes_labels and is_svhn and is_counted_from_1:
            values = values % 10
            if "SVHN" not in kinds:
                notes.append("label 10 is the digit 0 in SVHN, so its class is called 0")
        kinds.add("SVHN" if is_svhn else "CIFAR" if block.by_pixel else "arrays")
        if block.by_pixel and names is None:
            names = _class_names(file)
        blocks.append(Labelled(block, values))
    kind = "MATLAB's files" + (f" of {kinds.pop()}" if kinds in ({"SVHN"}, {"CIFAR"}) else "")
    return blocks_listing(given, parts, blocks, kind, choices, names=names, notes=notes)


def _images_and_labels(opened: IO[bytes], shown: str) -> tuple[MatArray, MatArray | None]:
    """The array of images of a file, and that of their labels where it has one."""
    head = opened.read(_HEAD_BYTES)
    check_not_hdf5(head, shown)
    if not is_mat(head):
        raise InputError(f"{shown} is no file of MATLAB 5 to 7.2")
    arrays = {array.name: array for array in mat_arrays(opened, shown=shown)}
    pair = _pair(arrays)
    if pair is None:
        raise InputError(
            f"{shown} holds no array of images (it has "
            f"{first_few(_described(arrays), most=6) or 'no arrays of numbers'})",
            hint="images are X of HEIGHT x WIDTH x 3 x N bytes with labels y, as SVHN's, or data "
            "of N x 3072 with labels, as CIFAR's; a file of labels is given with the folder of "
            "its images: vitctl shard SRC --labels FILE",
        )
    return pair


def _pair(arrays: dict[str, MatArray]) -> tuple[MatArray, MatArray | None] | None:
    """The array of images, and that of their labels."""
    for images, labels in _PAIRS:
        if images in arrays and labels in arrays and _is_images(arrays[images]):
            return arrays[images], arrays[labels]
    named = [array for array in arrays.values() if _is_images(array)]
    return (named[0], None) if len(named) == 1 else None


def _is_images(array: MatArray) -> bool:
    shape = array.shape
    if array.dtype not in ("|u1", "u1") or min(shape) < 1:
        return False
    if len(shape) == 2:
        return array.name == "data" and shape[1] == _CIFAR_PIXELS
    return len(shape) == 3 or (len(shape) == 4 and shape[2] in (1, 3))


def _described(arrays: dict[str, MatArray]) -> list[str]:
    return [
        f"{array.name} of {' x '.join(map(str, array.shape))}"
        for array in sorted(arrays.values(), key=lambda array: array.name)
    ]


def _block(array: MatArray, number: int, name: str, file: ArrayFile) -> Block:
    shape = array.shape
    if array.value_bytes > array.element_bytes * (MOST_EXPANSION if array.compressed else 1):
        raise InputError(
            f"the array {array.name} of {file.shown} claims more than its file can hold"
        )
    if len(shape) == 2:
        if array.value_bytes > _MOST_WHOLE_BYTES:
            raise InputError(
                f"the array {array.name} of {file.shown} is larger than "
                f"{_MOST_WHOLE_BYTES >> 20} MiB, and would have to be read whole",
                hint="save fewer images in a file, or as HEIGHT x WIDTH x 3 x N",
            )
        size = (shape[0], 32, 32)
        return Block(name, number, file.inside, 0, size, 3, planar=True, by_pixel=True, array=array)
    height, width, *rest = shape
    channels = rest[0] if len(rest) == 2 else 1
    size = (rest[-1], height, width)
    return Block(name, number, file.inside, 0, size, channels, by_column=True, array=array)


def _labels(file: IO[bytes], array: MatArray, block: Block, shown: str) -> NDArray[np.int64]:
    sentence = (
        f"the array {array.name} of {shown} is of {' x '.join(map(str, array.shape))}, and "
        f"there are {block.count:,} images"
    )
    if array.count != block.count or array.value_bytes > MOST_LABEL_BYTES:
        raise InputError(sentence, hint="labels are one whole number an image")
    try:
        with content_of(file, array) as content:
            data = content.read(array.value_bytes)
    except DamagedError:
        data = b""
    if len(data) < array.value_bytes:
        raise InputError(f"the array {array.name} of {shown} breaks off")
    values = np.frombuffer(data, array.dtype)
    with np.errstate(invalid="ignore"):
        whole = values.astype(np.int64)
    if not np.array_equal(whole, values):
        raise InputError(
            f"the array {array.name} of {shown} has fractions",
            hint="labels are one whole number an image",
        )
    return whole


def _class_names(images: ArrayFile) -> list[str] | None:
    """The names that lie beside CIFAR's files; None where there are none."""
    for base, variable in _METADATA.items():
        file = images.beside(base)
        if file is not None:
            with file.opened() as stream:
                data = stream.read(_MOST_METADATA_BYTES + 1)
            if len(data) > _MOST_METADATA_BYTES:
                raise InputError(
                    f"{file.shown} is larger than {_MOST_METADATA_BYTES >> 20} MiB, too large for "
                    "names of classes"
                )
            metadata = read_mat(data, label=file.shown, most_bytes=_MOST_METADATA_BYTES)
            names = np.atleast_1d(metadata.get(variable, ())).tolist()
            if names and all(isinstance(name, str) for name in names):
                return [text_of(name.encode("utf-8", "surrogatepass")) for name in names]
    return None
