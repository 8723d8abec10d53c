"""ArrayRecord files of `tf.train.Example` that others wrote, as sources.

A record is found by its number. The library reads any at random, at the price of the chunk that it
lies in: one record by default today, 65,536 before 2025-12-09. Files of larger chunks are read from
front to back.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from vitctl.data.names import text_of
from vitctl.data.records import text_name
from vitctl.errors import InputError
from vitctl.ingest.choices import Choices
from vitctl.ingest.columns import Entry
from vitctl.ingest.listing import Access, Bytes, Listing
from vitctl.ingest.parts import DamagedError, Part
from vitctl.ingest.sources.examples import Feature, Meaning, example, list_examples
from vitctl.pixels.header import BadImageError
from vitctl.text.quoting import one_line

# Of a Riegeli file, which is what an ArrayRecord is (google/riegeli, records_file_format.md).
_SIGNATURE = bytes.fromhex("83af70d10d884a3f")
_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"
_BUFFER_BYTES = 2**20
_SMALL_GROUP = 16


def is_array_record(head: bytes, path: bytes = b"") -> bool:
    return head.startswith(_SIGNATURE)


@dataclass(frozen=True)
class ArrayRecords:
    """Images in records of ArrayRecords; `Entry.offset` is the number of one."""

    parts: tuple[Part, ...]
    image: str
    access: Access

    @contextmanager
    def reader(self) -> Iterator[_Reader]:
        with ExitStack() as files:
            yield _Reader(self.parts, self.image, files)


@dataclass
class _Reader:
    parts: tuple[Part, ...]
    image: str
    files: ExitStack
    opened: dict[int, Any] = field(default_factory=dict)
    following: dict[int, int] = field(default_factory=dict)
    """The record that each open file is at."""

    @contextmanager
    def open(self, entry: Entry) -> Iterator[Bytes]:
        part = self.parts[entry.part]
        if entry.part not in self.opened:
            part.check_unchanged()
            self.opened[entry.part] = self.files.enter_context(_opened(part))
        file = self.opened[entry.part]
        try:
            if self.following.get(entry.part, 0) != entry.offset:
                file.seek(entry.offset)
            record = file.read()
        except (RuntimeError, IndexError) as error:
            raise BadImageError(f"its record can't be read ({one_line(error)})") from None
        self.following[entry.part] = entry.offset + 1
        try:
            texts = example(record, at=entry.offset).get(self.image, Feature()).texts
        except DamagedError as error:
            raise BadImageError(error.reason) from None
        yield io.BytesIO(record[slice(*texts[0])] if texts else b"")
        part.check_unchanged()


def list_array_records(
    given: str, paths: Sequence[bytes], choices: Choices, *, meaning: Meaning | None = None
) -> Listing:
    """The images of ArrayRecords, `given` by the user as one word."""
    small: list[bool] = []
    return list_examples(
        given,
        paths,
        choices,
        records=partial(_records, small=small),
        source_of=lambda parts, image: ArrayRecords(
            parts, image, "random" if all(small) else "in order"
        ),
        in_file=False,
        kind="an ArrayRecord",
        kinds="ArrayRecords",
        meaning=meaning,
    )


def _records(part: Part, *, small: list[bool]) -> Iterator[tuple[int, bytes]]:
    with _opened(part) as file:
        group = re.search(r"group_size:(\d+)", file.writer_options_string() or "")
        small.append(group is not None and int(group[1]) <= _SMALL_GROUP)
        for number in range(file.num_records()):
            try:
                record = file.read()
            except (RuntimeError, IndexError) as error:
                raise DamagedError(number, one_line(error)) from None
            yield number, record


@contextmanager
def _opened(part: Part) -> Iterator[Any]:
    from array_record.python import array_record_module

    path = os.fsdecode(part.path)
    try:
        with text_name(path) as name:
            file = array_record_module.ArrayRecordReader(
                name, _OPTIONS, file_reader_buffer_size=_BUFFER_BYTES
            )
        if not file.ok():
            raise RuntimeError("its directory of records is missing")
    except RuntimeError as error:
        raise InputError(
            f"{text_of(part.path)} is no whole ArrayRecord ({one_line(error)})",
            hint="the directory of an ArrayRecord is at its end: copy or download a file that was "
            "cut off again; a plain Riegeli file has none: write its records to an ArrayRecord, or "
            "of TensorFlow Datasets: tfds convert_format --dataset_version_dir=FOLDER "
            "--out_dir=NEW --out_file_format=array_record",
        ) from None
    try:
        yield file
    finally:
        with suppress(RuntimeError):  # it repeats what a read has said
            file.close()
