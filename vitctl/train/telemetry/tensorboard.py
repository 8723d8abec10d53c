"""Scalars of a run as TensorBoard event files, written without TensorFlow or protobuf.

An event file is a TFRecord file of serialised `tensorflow.Event`s. Of that message a scalar needs
five fields, and TFRecord is a length and two checksums, so the whole writer is shorter than the
list of what a package that does it would bring along.
  https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
  https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/event.proto

They mirror `metrics.jsonl`, row by row. A run that resumes cuts them back to the same step, and
what of the metrics is not in them is added, so they may also be asked for late.
"""

from __future__ import annotations

import os
import re
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from vitctl.artifacts.runs import EVENTS
from vitctl.places import nofollow
from vitctl.protobuf import (
    FIXED32,
    FIXED64,
    VARINT,
    fields,
    key,
    length_delimited,
    messages,
    varint,
)
from vitctl.train.telemetry.scalars import scalars

PREFIX = EVENTS
_VERSION = b"brain.Event:2"
# Field numbers of event.proto and summary.proto.
_WALL_TIME, _STEP, _FILE_VERSION, _SUMMARY, _SESSION_LOG = 1, 2, 3, 5, 7
_SUMMARY_VALUE, _VALUE_TAG, _VALUE_SIMPLE = 1, 1, 2
_SESSION_STATUS, _SESSION_START = 1, 1

_HEADER = struct.Struct("<QI")
_CRC = struct.Struct("<I")


class EventFile:
    """Appends rows of metrics to a run's event files. Use as a context manager.

    `rows` are the metrics that stay; events of later steps are cut off.
    """

    def __init__(self, folder: Path, *, rows: Iterable[Mapping[str, Any]], keep_to: int) -> None:
        self._folder, self._keep_to = folder, keep_to
        written: set[tuple[str, int]] = set()
        for path in files(folder):
            written |= _cut(path, keep_to=keep_to)
        self._late = [row for row in rows if (row["kind"], row["step"]) not in written]

    def __enter__(self) -> EventFile:
        name = f"{PREFIX}{int(time.time())}.{os.getpid()}.vitctl"
        # A number that counts up: two starts within a second must not share a file.
        taken = len(files(self._folder))
        self._file: BinaryIO = nofollow.opened(self._folder / f"{name}.{taken}", "ab", buffering=0)  # type: ignore[assignment]
        self._write(length_delimited(_FILE_VERSION, _VERSION))
        # A TensorBoard that is looking on forgets what it read of later steps.
        session = key(_SESSION_STATUS, VARINT) + varint(_SESSION_START)
        self._write(_step(self._keep_to + 1) + length_delimited(_SESSION_LOG, session))
        for row in self._late:
            self.row(row)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def row(self, row: Mapping[str, Any]) -> None:
        """Every number of a metrics row, as `KIND/NAME` at its step."""
        values = b"".join(
            length_delimited(_SUMMARY_VALUE, _value(tag, value))
            for tag, value in scalars(row).items()
        )
        if values:
            self._write(_step(row["step"]) + length_delimited(_SUMMARY, values))

    def sync(self) -> None:
        """Make what was written survive a power cut."""
        os.fsync(self._file.fileno())

    def _write(self, fields: bytes) -> None:
        event = key(_WALL_TIME, FIXED64) + struct.pack("<d", time.time()) + fields
        self._file.write(_record(event))


def files(folder: Path) -> list[Path]:
    """The event files of a run, in the order they were written."""
    paths = [path for path in folder.glob(f"{PREFIX}*") if path.is_file()]
    return sorted(paths, key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)])


def _cut(path: Path, *, keep_to: int) -> set[tuple[str, int]]:
    """Cut a file before its first event of a later step, or its first damaged one. What stays, as
    (kind, step)."""
    content = nofollow.read(path)
    written: set[tuple[str, int]] = set()
    end = 0
    for event, after in _records(content):
        step, kinds = _read(event)
        if kinds and step > keep_to:
            break
        written |= {(kind, step) for kind in kinds}
        end = after
    if end < len(content):
        nofollow.truncate(path, end)
    return written


# Records


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _masked_crc(length) + data + _masked_crc(data)


def _records(content: bytes) -> Iterator[tuple[bytes, int]]:
    """Each whole record and where it ends."""
    at = 0
    while at + _HEADER.size <= len(content):
        length, crc = _HEADER.unpack_from(content, at)
        begin, after = at + _HEADER.size, at + _HEADER.size + length + _CRC.size
        if after > len(content) or _CRC.pack(crc) != _masked_crc(content[at : at + 8]):
            return
        data = content[begin : begin + length]
        if content[begin + length : after] != _masked_crc(data):
            return
        yield data, after
        at = after


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # Castagnoli's, reflected
        table.append(byte)
    return table


_TABLE = _crc_table()


def _masked_crc(data: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return _CRC.pack(((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


# Messages


def _step(step: int) -> bytes:
    return key(_STEP, VARINT) + varint(step)


def _value(tag: str, value: float) -> bytes:
    simple = key(_VALUE_SIMPLE, FIXED32) + struct.pack("<f", value)
    return length_delimited(_VALUE_TAG, tag.encode()) + simple


def _read(event: bytes) -> tuple[int, set[str]]:
    """The step of an event and the kinds of its scalars."""
    data = memoryview(event)
    step = next((v for n, v in fields(data) if n == _STEP and isinstance(v, int)), 0)
    kinds = {
        bytes(tag).decode().split("/")[0]
        for summary in messages(data, _SUMMARY)
        for value in messages(summary, _SUMMARY_VALUE)
        for tag in messages(value, _VALUE_TAG)
    }
    return step, kinds
