"""A few records of shards in a bucket, without a copy of the shards: by ranges of bytes.

Training copies a dataset first; this is for those who look at some images before anything is begun
(`vitctl.data.stored_size`), which must see the same images wherever these lie.

The library reads files only. What is read here is what `vitctl.data.records` writes: chunks of one
record each, not compressed, and at the end a footer that says where each of them begins.

    https://github.com/google/riegeli/blob/master/doc/riegeli_records_file_format.md
    https://github.com/google/array_record/blob/main/cpp/layout.proto
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vitctl import protobuf
from vitctl.data.columns import by_part
from vitctl.errors import InputError
from vitctl.places import Place

_BLOCK = 1 << 16
"""At each multiple of it a header of the block lies between the bytes of a chunk."""
_BLOCK_HEADER = 24
_CHUNK_HEADER = 40
_DATA_SIZE = slice(8, 16)
_TYPE, _SIMPLE, _UNCOMPRESSED = 24, ord("r"), 0
_FOOTER_OFFSET, _CHUNK_OFFSET, _RECORDS = 1, 1, 3
"""Numbers of fields: of RiegeliPostscript, and two of ArrayRecordFooter."""
_REMAKE = "make the dataset again with `vitctl shard`, or copy it again from where it is whole"


@dataclass(frozen=True)
class RangedShard:
    """One file of a split and how many records it must hold."""

    path: Place
    records: int


class RangedRecords:
    """The records of several shards as one sequence (`vitctl.data.records.Records`)."""

    def __init__(self, shards: Sequence[RangedShard]) -> None:
        self._shards = tuple(shards)
        self._end_offsets = np.cumsum([shard.records for shard in shards], dtype=np.int64)
        self._chunks: dict[int, list[int]] = {}
        """By shard: where its chunks begin, and where the last one ends."""

    def __len__(self) -> int:
        return int(self._end_offsets[-1]) if len(self._end_offsets) else 0

    def stored(self) -> NDArray[np.int64]:
        return np.arange(len(self), dtype=np.int64)

    def read(self, indices: NDArray[np.int64]) -> list[bytes]:
        """The records at `indices`, int64[b], in that order.

        Raises `InputError` naming the shard when one is missing, truncated or damaged, and
        `OutOfReachError` where the bucket is out of reach.
        """
        if not len(indices):
            return []
        parts = list(by_part(self._end_offsets, indices))
        any_path = self._shards[0].path
        new = [shard for shard, _, _ in parts if shard not in self._chunks]
        chunks = any_path.each(_chunks, [self._shards[shard] for shard in new], reads=True)
        self._chunks.update(zip(new, chunks, strict=True))
        places: list[int] = []
        requests: list[tuple[RangedShard, int, int, int]] = []
        for shard, positions, within in parts:
            begins = self._chunks[shard]
            places += positions.tolist()
            requests += [
                (self._shards[shard], at, begins[at], begins[at + 1]) for at in within.tolist()
            ]
        out = [b""] * len(indices)
        for at, record in zip(places, any_path.each(_record, requests, reads=True), strict=True):
            out[at] = record
        return out

    def locate(self, index: int) -> tuple[Place, int]:
        """The shard that holds record `index`, and its position there; for messages."""
        shard = int(np.searchsorted(self._end_offsets, index, side="right"))
        first = int(self._end_offsets[shard]) - self._shards[shard].records
        return self._shards[shard].path, index - first

    def close(self) -> None:
        self._chunks.clear()


def _chunks(shard: RangedShard) -> list[int]:
    """Where the chunks of a shard begin, and where the last one ends."""
    path = shard.path
    try:
        size = path.stat().st_size
        last = size - _BLOCK
        if last < 0 or size % _BLOCK:
            raise ValueError("it ends within a block")
        postscript = _values(_logical(path.read_part(last, size), last))
        footer = _field(postscript[0], _FOOTER_OFFSET)
        if not 0 <= footer < last:
            raise ValueError("its footer is not in it")
        # The first describes all others, which are as many as there are chunks.
        _, *of_chunks = _values(_logical(path.read_part(footer, last), footer))
        if any(_field(of_chunk, _RECORDS) != 1 for of_chunk in of_chunks):
            raise ValueError("a chunk has several records")
        begins = [_field(of_chunk, _CHUNK_OFFSET) for of_chunk in of_chunks]
        bounds = [*begins, footer]
        if any(end <= begin for begin, end in pairwise(bounds)):
            raise ValueError("its chunks are not in order")
    except FileNotFoundError:
        raise InputError(f"the shard {path} is missing", hint=_REMAKE) from None
    except (ValueError, IndexError):
        raise InputError(f"the shard {path} is truncated or damaged", hint=_REMAKE) from None
    if len(begins) != shard.records:
        raise InputError(
            f"the shard {path} holds {len(begins):,} records where {shard.records:,} were written",
            hint=_REMAKE,
        )
    return bounds


def _record(request: tuple[RangedShard, int, int, int]) -> bytes:
    shard, position, begin, end = request
    try:
        [record] = _values(_logical(shard.path.read_part(begin, end), begin))
    except (ValueError, IndexError, FileNotFoundError):
        raise InputError(f"record {position} of {shard.path} is damaged", hint=_REMAKE) from None
    return bytes(record)


def _logical(content: bytes, begin: int) -> bytes:
    """Bytes of a file from `begin` on, without the headers of blocks."""
    first = -begin % _BLOCK
    parts = [content[:first]]
    parts += [
        content[at + _BLOCK_HEADER : at + _BLOCK] for at in range(first, len(content), _BLOCK)
    ]
    return b"".join(parts)


def _values(chunk: bytes) -> list[memoryview]:
    """The records of a chunk that is not compressed. Raises ValueError for any other."""
    size = int.from_bytes(chunk[_DATA_SIZE], "little")
    data = memoryview(chunk)[_CHUNK_HEADER : _CHUNK_HEADER + size]
    if len(data) != size or not size or chunk[_TYPE] != _SIMPLE or data[0] != _UNCOMPRESSED:
        raise ValueError("no chunk of records")
    length, at = protobuf.read_varint(data, 1)
    sizes = list(_varints(data[at : at + length]))
    return list(_split(data[at + length :], sizes))


def _varints(data: memoryview) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = protobuf.read_varint(data, at)
        yield value


def _split(data: memoryview, sizes: Sequence[int]) -> Iterator[memoryview]:
    if sum(sizes) != len(data):
        raise ValueError("records of other sizes")
    at = 0
    for size in sizes:
        yield data[at : at + size]
        at += size


def _field(message: memoryview, number: int) -> int:
    """The value of a field; 0 where it is left out."""
    for at, value in protobuf.fields(message):
        if at == number and isinstance(value, int):
            return value
    return 0
