"""ArrayRecord files, read and written strictly.

The library's reader takes a missing or truncated file for an empty one, so every count is compared
with the one in the dataset's description; its writer reports a full disk late, with a text.
Records are always read in batches: one by one is many times slower.
"""

from __future__ import annotations

import os
import resource
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from vitctl.data.columns import by_part
from vitctl.data.example import Example, decode_example, image_of
from vitctl.errors import DoesNotFitError, InputError, no_room
from vitctl.places import Place, nofollow
from vitctl.places.based_path import is_text

# One record a chunk makes every record readable by itself; images are compressed already.
_WRITER_OPTIONS = "group_size:1,uncompressed"
# Random access wants neither read-ahead nor the reader's own threads.
_READER_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"
# Default buffers are 1 MiB a reader; records are read whole, so a small one costs no time.
_READER_BUFFER_BYTES = 32 * 1024
# A batch touches as many shards as it has images, so shards stay open: each costs a descriptor and
# some kilobytes (measured), opening it again half a millisecond on a warm local disk.
_MAX_OPEN_SHARDS = 4096
# Reads wait for the disk without holding Python's lock; on a network disk each takes milliseconds.
_THREADS = 32
# A record takes 0.1 ms where it is in memory. Where it takes longer than this, the time is waiting,
# and a shard is read by several readers at once.
_SLOW_S = 2e-3

T = TypeVar("T")

_OPEN_FILES = "/proc/self/fd"

_REMAKE = "make the dataset again with `vitctl shard`, or copy it again from where it is whole"


class Records(Protocol):
    """Records as one sequence, whatever holds them."""

    def stored(self) -> NDArray[np.int64]:
        """int64[m]: the positions of those that lie on a disk, ascending; others are made when they
        are read."""

    def __len__(self) -> int: ...

    def read(self, indices: NDArray[np.int64]) -> list[bytes]:
        """The records at `indices`, int64[b], in that order. Raises `InputError` for a damaged
        one."""

    def locate(self, index: int) -> tuple[Path | Place, int]:
        """Where record `index` is, for messages: a file or a folder, and the position there."""

    def close(self) -> None: ...


def read_examples(records: Records, indices: NDArray[np.int64]) -> list[Example]:
    """The decoded examples at `indices`, int64[b]. Raises `InputError` naming shard and record."""
    return parsed(decode_example, records, indices, records.read(indices))


def parsed(
    parse: Callable[[bytes], T],
    records: Records,
    indices: NDArray[np.int64],
    contents: Iterable[bytes],
) -> list[T]:
    """What `parse` makes of the records at `indices`, int64[b], whose bytes are `contents`. Raises
    `InputError` naming shard and record where it raises `ValueError`."""
    values = []
    for index, record in zip(indices.tolist(), contents, strict=True):
        try:
            values.append(parse(record))
        except ValueError as error:
            path, position = records.locate(index)
            raise InputError(f"record {position} of {path} can't be read: {error}") from None
    return values


def spread(records: Records, *, most: int) -> NDArray[np.int64]:
    """Positions of at most so many records, evenly over all: a sample to measure."""
    return np.linspace(0, len(records) - 1, min(most, len(records))).astype(np.int64)


def read_images(records: Records, indices: NDArray[np.int64]) -> list[bytes]:
    """The encoded images at `indices`, int64[b]. Raises `InputError` naming shard and record."""
    return parsed(image_of, records, indices, records.read(indices))


def unusable(records: Records, index: int, reason: str) -> InputError:
    """The error that names the example at `index`, whose image can't be used for `reason`."""
    (example,) = read_examples(records, np.array([index]))
    path, position = records.locate(index)
    return InputError(
        f"the image {example.id} (record {position} of {path}) can't be used: {reason}",
        hint=f"see what is damaged: vitctl verify --deep {path.parent}",
    )


@dataclass(frozen=True)
class ChosenRecords:
    """The records at `rows`, int[n], of others."""

    records: Records
    rows: NDArray[Any]

    def stored(self) -> NDArray[np.int64]:
        return np.flatnonzero(np.isin(self.rows, self.records.stored()))

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, indices: NDArray[np.int64]) -> list[bytes]:
        return self.records.read(self.rows[indices].astype(np.int64))

    def locate(self, index: int) -> tuple[Path | Place, int]:
        return self.records.locate(int(self.rows[index]))

    def close(self) -> None:
        self.records.close()


class JoinedRecords:
    """The records of several sequences, one after the other."""

    def __init__(self, parts: Sequence[Records]) -> None:
        self._parts = tuple(parts)
        self._end_offsets = np.cumsum([len(part) for part in parts], dtype=np.int64)

    def stored(self) -> NDArray[np.int64]:
        return np.concatenate(
            [part.stored() + self._first(number) for number, part in enumerate(self._parts)]
        )

    def __len__(self) -> int:
        return int(self._end_offsets[-1])

    def read(self, indices: NDArray[np.int64]) -> list[bytes]:
        out: list[bytes] = [b""] * len(indices)
        for number, places, own in by_part(self._end_offsets, indices):
            records = self._parts[number].read(own)
            for place, record in zip(places.tolist(), records, strict=True):
                out[place] = record
        return out

    def locate(self, index: int) -> tuple[Path | Place, int]:
        number = int(np.searchsorted(self._end_offsets, index, side="right"))
        return self._parts[number].locate(index - self._first(number))

    def close(self) -> None:
        for part in self._parts:
            part.close()

    def _first(self, number: int) -> int:
        return int(self._end_offsets[number]) - len(self._parts[number])


class RecordWriter:
    """Appends records to one ArrayRecord file; made by `open_writer`."""

    def __init__(self, path: Path, writer: Any) -> None:
        self._path, self._writer = path, writer
        self.count = 0

    def write(self, record: bytes) -> None:
        with _writing(self._path):
            self._writer.write(record)
        self.count += 1


@contextmanager
def open_writer(path: Path) -> Iterator[RecordWriter]:
    """Write a new ArrayRecord file at `path`; on a normal exit it is closed, synced and counted.

    Raises `DoesNotFitError` when the disk is full.
    """
    from array_record.python import array_record_module

    with _writing(path):
        # Fails here with a plain OSError where the library's message would be a riddle, and where a
        # link lies in the way: the library opens it by name.
        nofollow.opened(path, "wb").close()
        writer = array_record_module.ArrayRecordWriter(str(path), _WRITER_OPTIONS)
    out = RecordWriter(path, writer)
    try:
        yield out
    except BaseException:
        # The half-written file belongs to the caller, who overwrites or deletes it.
        _close_quietly(writer)
        raise
    with _writing(path):
        writer.close()
        nofollow.sync(path)
    _open_reader(path, records=out.count).close()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """The library says what went wrong only in a text."""
    try:
        yield
    except RuntimeError as error:
        text = " ".join(str(error).split())
        if (reason := no_room(text)) is not None:
            raise DoesNotFitError(
                f"{reason}: a shard could not be written to {path.parent}",
                hint="free some space, or choose another place with --store; "
                "what is finished is kept",
            ) from error
        raise OSError(f"{path} could not be written ({text})") from error


@contextmanager
def text_name(path: str | os.PathLike[str]) -> Iterator[str]:
    """A name by which a library that takes only UTF-8 can open a file meanwhile. Raises InputError
    where the path is not UTF-8 and the system has no other name for an open file."""
    name = os.fspath(path)
    if is_text(name):
        yield name
        return
    if not os.path.isdir(_OPEN_FILES):
        raise InputError(
            f"{name} is not UTF-8, which the library that reads it cannot open",
            hint="rename or move it",
        )
    number = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield f"{_OPEN_FILES}/{number}"
    finally:
        os.close(number)


def _close_quietly(writer: Any) -> None:
    try:
        writer.close()
    except RuntimeError:
        return


def _open_reader(path: Path, *, records: int) -> Any:
    """A reader of a shard that holds exactly `records` records, else InputError."""
    from array_record.python import array_record_module

    if not path.is_file():
        raise InputError(f"the shard {path} is missing", hint=_REMAKE)
    try:
        with text_name(path) as name:
            reader = array_record_module.ArrayRecordReader(
                name, _READER_OPTIONS, file_reader_buffer_size=_READER_BUFFER_BYTES
            )
        records_in_file = reader.num_records() if reader.ok() else None
    except RuntimeError:
        records_in_file = None
    if records_in_file is None:
        raise InputError(f"the shard {path} is truncated or damaged", hint=_REMAKE)
    if records_in_file != records:
        raise InputError(
            f"the shard {path} holds {records_in_file:,} records where {records:,} were written",
            hint=_REMAKE,
        )
    return reader


@dataclass(frozen=True)
class Shard:
    """One file of a split and how many records it must hold."""

    path: Path
    records: int


class ShardedRecords:
    """The records of several shards as one sequence. Opens a shard when it is first read from.

    Reads several shards at a time, and of each several parts where reading is slow, but is itself
    not to be shared between threads.
    """

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._shards = tuple(shards)
        self._end_offsets = np.cumsum([shard.records for shard in shards], dtype=np.int64)
        self._open: OrderedDict[tuple[int, int], Any] = OrderedDict()
        """By shard and number among its readers."""
        self._limit = _open_limit()
        self._readers_each = 1
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="read-records")

    def __len__(self) -> int:
        return int(self._end_offsets[-1]) if len(self._end_offsets) else 0

    def read(self, indices: NDArray[np.int64]) -> list[bytes]:
        """The records at `indices`, int64[b], in that order.

        Raises `InputError` naming the shard when one is missing, truncated or damaged.
        """
        out: list[bytes] = [b""] * len(indices)
        for group in self._groups(indices):
            # Opened here, one by one, so that no reader is closed while another thread uses it.
            readers = [self._reader(part.shard, part.reader) for part in group]
            jobs = [
                self._threads.submit(_read, self._shards[part.shard].path, reader, part.within)
                for part, reader in zip(group, readers, strict=True)
            ]
            # All of them, so that no reader is in use any more when the error of one is raised: who
            # asked may read again, and then the same readers are used, or closed for others.
            wait(jobs)
            seconds = 0.0
            for part, job in zip(group, jobs, strict=True):
                records, taken = job.result()
                seconds += taken
                for place, record in zip(part.places, records, strict=True):
                    out[place] = record
            shards = len({part.shard for part in group})
            if seconds > _SLOW_S * len(indices) and 2 * self._readers_each * shards <= _THREADS:
                self._readers_each *= 2
        return out

    def stored(self) -> NDArray[np.int64]:
        return np.arange(len(self), dtype=np.int64)

    def open(self) -> None:
        """Open every shard now. Raises `InputError` for the first that is not whole."""
        for shard in range(len(self._shards)):
            self._reader(shard, 0)

    def locate(self, index: int) -> tuple[Path, int]:
        """The shard that holds record `index`, and its position there; for messages."""
        shard = int(np.searchsorted(self._end_offsets, index, side="right"))
        return self._shards[shard].path, int(
            index - self._end_offsets[shard] + self._shards[shard].records
        )

    def close(self) -> None:
        self._threads.shutdown()
        while self._open:
            self._open.popitem()[1].close()

    def _groups(self, indices: NDArray[np.int64]) -> Iterator[list[_Part]]:
        """What each reader reads, of as many as may be open at once."""
        group = []
        for shard, places, within in by_part(self._end_offsets, indices):
            readers = min(self._readers_each, len(places))
            for reader in range(readers):
                mine = slice(reader, None, readers)
                group.append(_Part(shard, reader, places[mine].tolist(), within[mine].tolist()))
                if len(group) == self._limit:
                    yield group
                    group = []
        if group:
            yield group

    def _reader(self, shard: int, reader: int) -> Any:
        key = (shard, reader)
        if key in self._open:
            self._open.move_to_end(key)
            return self._open[key]
        opened = _open_reader(self._shards[shard].path, records=self._shards[shard].records)
        self._open[key] = opened
        if len(self._open) > self._limit:
            self._open.popitem(last=False)[1].close()
        return opened


class _Part(NamedTuple):
    """Of one read what one reader does: positions `within` a shard, for `places` in the result."""

    shard: int
    reader: int
    places: list[int]
    within: list[int]


def _read(path: Path, reader: Any, within: list[int]) -> tuple[list[bytes], float]:
    """The records, and how many seconds that took."""
    began = time.perf_counter()
    try:
        return reader.read(within), time.perf_counter() - began
    except RuntimeError as error:
        raise InputError(
            f"record {_first_bad(reader, within)} of {path} is damaged"
            f" ({' '.join(str(error).split())[:160]})",
            hint=_REMAKE,
        ) from error


def _first_bad(reader: Any, within: list[int]) -> int:
    for position in within:
        try:
            reader.read([position])
        except RuntimeError:
            return position
    return within[0]


def _open_limit() -> int:
    """Half of the descriptors this process may have, and not more than `_MAX_OPEN_SHARDS`."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(1, min(_MAX_OPEN_SHARDS, allowed // 2 if allowed > 0 else _MAX_OPEN_SHARDS))
