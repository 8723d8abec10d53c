"""Variables of MATLAB's files, version 5 to 7.2: numbers, texts, cells and structures, with bounds
on what they claim.

A file is a header of 128 bytes and elements, each of a type, a size and bytes; that of an array
holds others: its class, its axes, its name, its values. SciPy's `loadmat`, which gives the same
(tests hold both against each other), ends the process where some bytes are damaged.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitctl.errors import InputError
from vitctl.ingest.reading.mat_format import (
    CELL,
    CHAR,
    COMPLEX,
    COMPRESSED,
    HEADER_BYTES,
    MATRIX,
    MOST_AXES,
    MOST_NAME,
    NUMBERS,
    NUMERIC,
    STRUCT,
    parsed_tag,
)
from vitctl.text.quoting import quoted

Variables = Mapping[str, Any]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_TEXTS = {
    1: "latin-1",
    2: "latin-1",
    3: "utf-16",
    4: "utf-16",
    16: "utf-8",
    17: "utf-16",
    18: "utf-32",
}
_DEEPEST = 16
_PIECE = 2**20


class _DamagedError(Exception):
    """The bytes are not what the format asks for; a clause says what."""


def is_mat(head: bytes) -> bool:
    return head.startswith(b"MATLAB 5.0 MAT-file")


def is_hdf5_mat(head: bytes) -> bool:
    return head.startswith((b"MATLAB 7.3 MAT-file", _HDF5))


def read_mat(
    data: bytes, *, label: str, most_bytes: int, names: Collection[str] | None = None
) -> Variables:
    """The variables of a file, without axes of length 1, or those of `names`; objects, functions
    and sparse arrays are passed. Raises InputError for other files, and where they would take more
    than `most_bytes`.

    A variable is a number, a str, an array of these, or of a cell array one of objects, or of a
    structure array one with a field of objects for each of its fields.
    """
    if is_hdf5_mat(data):
        raise InputError(
            f"{label} is a file of MATLAB 7.3 (HDF5), which is not read",
            hint="in MATLAB: save(FILE, '-v7'); or write its labels as CSV with the names of the "
            "images, and give it with --labels",
        )
    variables: dict[str, Any] = {}
    try:
        order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
        if order is None:
            raise _DamagedError("its header is not one of versions 5 to 7.2")
        left = most_bytes
        for element in _elements(memoryview(data)[HEADER_BYTES:], order):
            bytes_ = element.bytes
            if element.type == COMPRESSED:
                bytes_ = _expanded(element.bytes, most=left)
            left -= len(bytes_)
            if left < 0:
                raise InputError(
                    f"{label} holds more than {most_bytes >> 20:,} MiB, so it is not read"
                )
            if element.type == COMPRESSED:
                element = next(_elements(bytes_, order), None) or element
            if element.type == MATRIX:
                array = _Array.begun(element.bytes, order)
                if array is not None and (array.name in names if names is not None else array.name):
                    value = array.value(depth=0)
                    if value is not None:
                        variables[array.name] = value
    except _DamagedError as error:
        raise InputError(f"{label} can't be read as a MATLAB file ({error})") from None
    return {name: value for name, value in variables.items() if not name.startswith("__")}


def _expanded(data: memoryview, *, most: int) -> memoryview:
    """What zlib compressed, of which no more than `most` bytes and a piece are expanded."""
    expander = zlib.decompressobj()
    pieces: list[bytes] = []
    total, packed = 0, bytes(data)
    try:
        while packed and not expander.eof and total <= most:
            pieces.append(expander.decompress(packed, _PIECE))
            total += len(pieces[-1])
            packed = expander.unconsumed_tail
    except zlib.error:
        raise _DamagedError("what zlib compressed is garbled") from None
    return memoryview(b"".join(pieces))


@dataclass(frozen=True)
class _Element:
    type: int
    bytes: memoryview


def _elements(data: memoryview, order: str) -> Iterator[_Element]:
    """The elements of bytes, one after another. Raises `_DamagedError`."""
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            if not any(data[at:]):
                return
            raise _DamagedError("it ends in the middle of an element")
        type_, size, is_short = parsed_tag(data, order, at=at)
        begin, after = (at + 4, at + 8) if is_short else (at + 8, at + 8 + size)
        if is_short and size > 4:
            raise _DamagedError("a short element claims more than 4 bytes")
        if begin + size > len(data):
            raise _DamagedError("an element is larger than what it lies in")
        yield _Element(type_, data[begin : begin + size])
        # Others begin at a multiple of 8 bytes.
        at = after if type_ == COMPRESSED else after + -after % 8


@dataclass(frozen=True)
class _Array:
    """An array whose values are still to be read.

    Attributes:
      kind: its class, in MATLAB's numbers.
      shape: its axes, the first of which runs fastest.
      rest: the elements behind its name.
    """

    name: str
    kind: int
    is_complex: bool
    shape: tuple[int, ...]
    order: str
    rest: Iterator[_Element]
    most_children: int

    @classmethod
    def begun(cls, data: memoryview, order: str) -> _Array | None:
        """None for one without axes, as of an object of a class, and for one of no bytes."""
        if not len(data):
            return None
        elements = _elements(data, order)
        flags, axes, name = (next(elements, None) for _ in range(3))
        if flags is None or len(flags.bytes) < 4:
            raise _DamagedError("an array has no class")
        bits = int(np.frombuffer(flags.bytes, f"{order}u4", 1)[0])
        kind = bits & 0xFF
        if kind not in (CELL, STRUCT, CHAR, *NUMERIC):
            return None
        if axes is None or name is None or axes.type != 5 or len(axes.bytes) % 4:
            raise _DamagedError("an array has no axes")
        shape = tuple(np.frombuffer(axes.bytes, f"{order}i4").tolist())
        if not 1 <= len(shape) <= MOST_AXES or min(shape) < 0:
            raise _DamagedError("an array has axes that none can have")
        if len(name.bytes) > MOST_NAME:
            raise _DamagedError("an array has a name that none can have")
        text = bytes(name.bytes).decode("latin-1")
        return cls(text, kind, bool(bits >> 8 & COMPLEX), shape, order, elements, len(data) // 8)

    @property
    def count(self) -> int:
        product = 1
        for length in self.shape:
            product *= length
        return product

    def value(self, *, depth: int) -> Any:
        if depth > _DEEPEST:
            raise _DamagedError(f"arrays lie more than {_DEEPEST} deep in each other")
        if self.kind in NUMERIC:
            numbers = self._numbers()
            return _squeezed(numbers + 1j * self._numbers() if self.is_complex else numbers)
        if self.kind == CHAR:
            return self._texts()
        if self.kind == CELL:
            return _squeezed(self._children(self.count, depth).reshape(self.shape, order="F"))
        return self._records(depth)

    def _next(self) -> _Element:
        element = next(self.rest, None)
        if element is None:
            raise _DamagedError(f"the array {quoted(self.name)} breaks off")
        return element

    def _numbers(self) -> NDArray[Any]:
        element = self._next()
        dtype = NUMBERS.get(element.type)
        if dtype is None:
            raise _DamagedError(f"the array {quoted(self.name)} holds no numbers")
        values = np.frombuffer(
            element.bytes, self.order + dtype, len(element.bytes) // int(dtype[1])
        )
        if len(values) != self.count:
            raise _DamagedError(
                f"the array {quoted(self.name)} has not as many values as its axes say"
            )
        return values.astype(dtype).reshape(self.shape, order="F")

    def _texts(self) -> Any:
        """A str, or an array of one for each row."""
        element = self._next()
        encoding = _TEXTS.get(element.type)
        if encoding is None:
            raise _DamagedError(f"the array {quoted(self.name)} holds no text")
        if encoding in ("utf-16", "utf-32"):
            encoding += "-le" if self.order == "<" else "-be"
        text = bytes(element.bytes).decode(encoding, "replace")
        if not self.count:
            return np.array([], "U1")
        if len(text) != self.count:
            if self.count != self.shape[-1]:
                raise _DamagedError(f"the text {quoted(self.name)} is not as long as its axes say")
            return text  # its axes count units of an encoding
        letters = np.array(list(text), object).reshape(self.shape, order="F")
        lines = ["".join(row) for row in letters.reshape(-1, self.shape[-1]).tolist()]
        rows = np.empty(len(lines), object)
        rows[:] = lines
        return (
            lines[0] if len(lines) == 1 else np.squeeze(rows.reshape(self.shape[:-1]).astype(str))
        )

    def _children(self, count: int, depth: int) -> NDArray[np.object_]:
        """The next arrays, one after another."""
        if count > self.most_children:  # each has a tag of 8 bytes
            raise _DamagedError(
                f"the array {quoted(self.name)} claims more than its bytes can hold"
            )
        children = np.empty(count, object)
        for i in range(count):
            element = self._next()
            if element.type != MATRIX:
                raise _DamagedError(f"the array {quoted(self.name)} holds what is no array")
            array = _Array.begun(element.bytes, self.order)
            children[i] = np.array([]) if array is None else array.value(depth=depth + 1)
        return children

    def _records(self, depth: int) -> Any:
        length, names = self._next(), self._next()
        width = int(np.frombuffer(length.bytes, f"{self.order}i4", 1)[0]) if length.bytes else 0
        if width < 1 or len(names.bytes) % width:
            raise _DamagedError(f"the structure {quoted(self.name)} has no names of fields")
        fields = [
            bytes(names.bytes[at : at + width]).split(b"\0", 1)[0].decode("latin-1")
            for at in range(0, len(names.bytes), width)
        ]
        if not fields or not all(fields) or len(set(fields)) < len(fields):
            raise _DamagedError(f"the structure {quoted(self.name)} has no fields or one twice")
        values = self._children(self.count * len(fields), depth).reshape(self.count, len(fields))
        records = np.empty(self.count, [(field, object) for field in fields])
        for i, field in enumerate(fields):
            records[field] = values[:, i]
        return _squeezed(records.reshape(self.shape, order="F"))


def _squeezed(array: NDArray[Any]) -> Any:
    """Without axes of length 1; of a single value that value."""
    if not array.size:
        return np.array([], array.dtype)
    array = np.squeeze(array)
    return array if array.shape or array.dtype.names else array.item()
