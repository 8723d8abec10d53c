"""Arrays of numbers in MATLAB's files, version 5 to 7.2, read from front to back: of a file of a
gigabyte no more than a piece is in memory, which SciPy's reader would load whole.

A file is a header of 128 bytes and elements; each is an array, compressed by zlib or not: its
class, its axes, its name, its values, of which the first axis runs fastest.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from typing import IO, Literal

import numpy as np

from vitctl.errors import InputError
from vitctl.ingest.parts import DamagedError
from vitctl.ingest.reading.mat_format import (
    COMPLEX,
    COMPRESSED,
    HEADER_BYTES,
    MATRIX,
    MOST_AXES,
    MOST_NAME,
    NUMBERS,
    NUMERIC,
    parsed_tag,
)
from vitctl.ingest.reading.streams import PlainStream

MOST_VARIABLES = 1000
_PIECE_BYTES = 2**20


@dataclass(frozen=True)
class MatArray:
    """An array of numbers in a file.

    Attributes:
      name: of the variable.
      shape: its axes, the first of which runs fastest.
      dtype: of the values as they are stored, with their byte order; NumPy's name of it.
      element: the byte of the file at which its element begins, after the tag.
      element_bytes: how many bytes of the file that has.
      compressed: whether zlib compressed it.
      values_at: the byte of the element, decompressed, at which the values begin.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    element: int
    element_bytes: int
    compressed: bool
    values_at: int

    @property
    def count(self) -> int:
        return int(np.prod(self.shape, dtype=object))

    @property
    def value_bytes(self) -> int:
        return self.count * np.dtype(self.dtype).itemsize


def mat_arrays(file: IO[bytes], *, shown: str) -> list[MatArray]:
    """The arrays of numbers in a file that can be sought in; others (texts, cells, structures) are
    passed. Raises InputError where it holds too many."""
    arrays: list[MatArray] = []
    whole = file.seek(0, os.SEEK_END)
    file.seek(0)
    header = file.read(HEADER_BYTES)
    order: Literal["<", ">"] = ">" if header[126:128] == b"MI" else "<"
    at, variables = HEADER_BYTES, 0
    while at + 8 <= whole:
        file.seek(at)
        kind, size = np.frombuffer(file.read(8), f"{order}u4").tolist()
        at += 8
        variables += 1
        if variables > MOST_VARIABLES:
            raise InputError(f"{shown} holds more than {MOST_VARIABLES:,} variables")
        if kind in (COMPRESSED, MATRIX):
            array = _array(file, at, size, order, compressed=kind == COMPRESSED)
            if array is not None:
                arrays.append(array)
        at += size
    return arrays


def _array(file: IO[bytes], at: int, size: int, order: str, *, compressed: bool) -> MatArray | None:
    """The array of an element; None for one that holds no numbers, or is damaged."""
    stream = _values(file, at, size, compressed=compressed)
    reader = _Elements(stream, order)
    try:
        if compressed:
            kind, _ = reader.tag()
            if kind != MATRIX:
                return None
        flags = reader.value(most=8)
        if len(flags) < 4:
            return None
        flag_bits = int(np.frombuffer(flags, f"{order}u4", 1)[0])
        if flag_bits & 0xFF not in NUMERIC or flag_bits >> 8 & COMPLEX:
            return None
        axes = reader.value(most=4 * MOST_AXES)
        shape = tuple(np.frombuffer(axes, f"{order}i4", len(axes) // 4).tolist())
        name = reader.value(most=MOST_NAME).decode("ascii", "replace")
        kind, _ = reader.tag()
        if kind not in NUMBERS or not shape or min(shape) < 0:
            return None
        dtype = np.dtype(order + NUMBERS[kind]).str
        return MatArray(name, shape, dtype, at, size, compressed, reader.at)
    except DamagedError:
        return None


def array_values(file: IO[bytes], array: MatArray) -> _Source:
    """The values of an array of a file as they are stored, from the first on. Raises OSError,
    zlib.error; what is read of damaged data raises zlib.error or is short."""
    stream = _values(file, array.element, array.element_bytes, compressed=array.compressed)
    left = array.values_at
    while left and (piece := stream.read(min(left, _PIECE_BYTES))):
        left -= len(piece)
    return stream


def _values(file: IO[bytes], begin: int, size: int, *, compressed: bool) -> _Source:
    """The bytes of an element."""
    stretch = PlainStream(file, begin + size, start=begin)
    return _Inflated(stretch) if compressed else stretch


class _Inflated:
    """The bytes of a stream, decompressed by zlib as they are read."""

    def __init__(self, file: PlainStream) -> None:
        self._file = file
        self._expander = zlib.decompressobj()

    def read(self, size: int, /) -> bytes:
        """Some of the next bytes, at most `size`; none where they end. Raises zlib.error."""
        while size > 0 and not self._expander.eof:
            data = self._expander.unconsumed_tail or self._file.read(2**16)
            piece = self._expander.decompress(data, size)
            if piece or not data:
                return piece
        return b""


_Source = PlainStream | _Inflated


class _Elements:
    """The elements of an array, one after the other: a tag and values in steps of 8 bytes."""

    def __init__(self, stream: _Source, order: str) -> None:
        self._stream, self._order = stream, order
        self._short = b""
        self.at = 0

    def tag(self) -> tuple[int, int]:
        """(type, bytes) of the next one; up to four bytes may lie in the tag itself, and `at` is
        where they begin."""
        head = self._exactly(8)
        kind, size, is_short = parsed_tag(head, self._order)
        self._short = b""
        if is_short:
            if size > 4:
                raise DamagedError(self.at, "a short element claims more than 4 bytes")
            self._short = head[4:]
            self.at -= 4
        return kind, size

    def value(self, *, most: int) -> bytes:
        """The bytes of the next one. Raises `DamagedError` where it claims more than `most`."""
        _, size = self.tag()
        if self._short:
            self.at += 4
            return self._short[:size]
        if size > most:
            raise DamagedError(self.at, f"an element claims {size:,} bytes")
        return self._exactly(-(-size // 8) * 8)[:size]

    def _exactly(self, size: int) -> bytes:
        data = b""
        try:
            while len(data) < size and (piece := self._stream.read(size - len(data))):
                data += piece
        except zlib.error:
            data = b""
        if len(data) < size:
            raise DamagedError(self.at, "it breaks off")
        self.at += size
        return data
