"""safetensors files: a length, a JSON header, raw little-endian tensors one after another.

    8 bytes   length of the header
    header    {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...,
               "__metadata__": {text: text}}
    the rest  the tensors' bytes; offsets count from here, without gap or overlap

(https://github.com/huggingface/safetensors). Nothing a header says is believed before it agrees
with the file: sizes with shapes, shapes with types, tensors with each other and with the end.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from vitctl.errors import InputError
from vitctl.places import nofollow
from vitctl.text import strict_json
from vitctl.text.quoting import quoted

TYPES: dict[str, Any] = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16,
    "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8, "U8": np.uint8,
    "U16": np.uint16, "U32": np.uint32, "U64": np.uint64, "BOOL": np.bool_,
    "F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2,
}  # fmt: skip
MOST_HEADER = 100 * 2**20
"""The format's own limit on headers is 100 MB."""
_LENGTH = 8


@dataclass(frozen=True)
class Stored:
    """Where one tensor lies; `begin` counts from the beginning of the file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    size: int


@dataclass(frozen=True)
class SafetensorsFile:
    """An open description of a file: its tensors by name, none read yet."""

    path: Path
    tensors: Mapping[str, Stored]
    metadata: Mapping[str, str]

    def read(self, name: str) -> NDArray[Any]:
        """One tensor. Raises InputError if the file became shorter."""
        stored = self.tensors[name]
        with open(self.path, "rb") as file:
            file.seek(stored.begin)
            content = file.read(stored.size)
        if len(content) != stored.size:
            raise InputError(f"{self.path} ended within the tensor {name}")
        return np.frombuffer(content, stored.dtype).reshape(stored.shape)


def open_file(path: Path) -> SafetensorsFile:
    """Read the header of a file and hold it against the file. Raises InputError."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        header, length = _header(file, path=path, size=size)
    begin = _LENGTH + length
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise _lies(path, "__metadata__ is no table")
    tensors = {name: _stored(name, value, path, begin) for name, value in header.items()}
    at = begin
    for name, stored in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].size)):
        if stored.begin != at:
            raise _lies(path, f"the tensor {quoted(name)} begins at byte {stored.begin}, not {at}")
        at += stored.size
    if at != size:
        raise _lies(path, f"its tensors end at byte {at:,}, and the file has {size:,} bytes")
    return SafetensorsFile(path, tensors, {str(k): str(v) for k, v in metadata.items()})


def write(
    path: Path, tensors: Mapping[str, NDArray[Any]], *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a file; tensors in the order of their names, so that equal ones give equal files."""
    names = {np.dtype(kind): name for name, kind in TYPES.items()}
    header: dict[str, Any] = {}
    if metadata:
        header["__metadata__"] = dict(sorted(metadata.items()))
    at = 0
    for name, array in sorted(tensors.items()):
        header[name] = {
            "dtype": names[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [at, at + array.nbytes],
        }
        at += array.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # so that tensors begin at a multiple of 8 bytes
    with nofollow.opened(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, array in sorted(tensors.items()):
            file.write(np.ascontiguousarray(array).tobytes())


def _header(file: BinaryIO, *, path: Path, size: int) -> tuple[dict[str, Any], int]:
    prefix = file.read(_LENGTH)
    if len(prefix) < _LENGTH:
        raise InputError(f"{path} is no safetensors file: it has {size} bytes")
    (length,) = struct.unpack("<Q", prefix)
    if length > min(MOST_HEADER, size - _LENGTH):
        raise _lies(path, f"it says {length:,} bytes long, and the file has {size:,}")
    try:
        header = strict_json.loads(file.read(length))
    except strict_json.StrictJSONError as error:
        raise _lies(path, f"it {error}") from None
    if not isinstance(header, dict):
        raise _lies(path, "it is no table of tensors")
    return header, length


def _stored(name: str, value: Any, path: Path, begin: int) -> Stored:
    match value:
        case {"dtype": str(kind), "shape": list(shape), "data_offsets": [first, end], **rest}:
            pass
        case _:
            raise _lies(
                path, f"the tensor {quoted(name)} is not described by dtype, shape, data_offsets"
            )
    numbers = [*shape, first, end]
    if rest or not all(type(number) is int and number >= 0 for number in numbers):
        raise _lies(path, f"the description of the tensor {quoted(name)} is malformed")
    if kind not in TYPES:
        raise InputError(
            f"{path}: the tensor {quoted(name)} is of type {quoted(kind)}, which is not read here",
            hint=f"convert it to one of {', '.join(TYPES)}",
        )
    dtype: np.dtype[Any] = np.dtype(TYPES[kind])
    if math.prod(shape) * dtype.itemsize != end - first:
        raise _lies(
            path, f"the tensor {quoted(name)} is {kind}{shape} and has {end - first:,} bytes"
        )
    return Stored(dtype, tuple(shape), begin + first, end - first)


def _lies(path: Path, problem: str) -> InputError:
    return InputError(
        f"{path} is damaged: its header does not describe the file: {problem}",
        hint="fetch the file again",
    )
