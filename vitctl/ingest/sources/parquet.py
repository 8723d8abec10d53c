"""Parquet with images in it, as Hugging Face datasets stores them; `pip install 'vitctl[parquet]'`.

Row groups are decoded from front to back, a few rows at a time; see arrow_table.py for columns.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vitctl.data.names import text_of
from vitctl.errors import InputError
from vitctl.ingest.choices import Choices
from vitctl.ingest.columns import Entry
from vitctl.ingest.listing import Access, Bytes, Listing
from vitctl.ingest.parts import DamagedError, Part
from vitctl.ingest.sources.arrow_table import (
    Columns,
    ImageRow,
    images_of,
    labels_of,
    list_tables,
    pyarrow_missing,
)
from vitctl.text.quoting import one_line

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# Of a hundred kilobytes each, images of a batch are a few megabytes.
_ROWS = 32
_MOST_METADATA = 2**26


def is_parquet(head: bytes, path: bytes = b"") -> bool:
    return head.startswith(b"PAR1")


@dataclass(frozen=True)
class Parquets:
    """Images of Parquet files; `Entry.offset` is the number of a row."""

    parts: tuple[Part, ...]
    image: str
    access: Access = "in order"

    @contextmanager
    def reader(self) -> Iterator[_ParquetReader]:
        with ExitStack() as files:
            yield _ParquetReader(self.parts, self.image, files)


@dataclass
class _ParquetReader:
    parts: tuple[Part, ...]
    image: str
    files: ExitStack
    part: int | None = None
    row: int = -1
    images: Iterator[bytes | None] = field(default_factory=lambda: iter(()))

    @contextmanager
    def open(self, entry: Entry) -> Iterator[Bytes]:
        part = self.parts[entry.part]
        if entry.part != self.part:
            self.files.close()
            part.check_unchanged()
            file = self.files.enter_context(_opened(part.path))
            self.images = file.images(Columns(self.image, None, None))
            self.part, self.row = entry.part, -1
        try:
            for image in self.images:
                self.row += 1
                if self.row == entry.offset:
                    yield io.BytesIO(image or b"")
                    return
        except DamagedError:
            pass
        raise InputError(f"{part.shown} has no row {entry.offset:,} any longer")


def list_parquets(given: str, paths: Sequence[bytes], choices: Choices) -> Listing:
    """The images of Parquet files, `given` by the user as one word."""
    return list_tables(
        given,
        paths,
        choices,
        opened=_opened,
        source_of=Parquets,
        kind="a Parquet file",
        kinds="Parquet files",
    )


@dataclass(frozen=True)
class _ParquetFile:
    file: pq.ParquetFile

    @property
    def schema(self) -> pa.Schema:
        return self.file.schema_arrow

    def rows(self, columns: Columns) -> Iterator[ImageRow]:
        for row, (image, labels) in enumerate(self._rows(columns)):
            yield ImageRow(len(image or b""), row, labels)

    def images(self, columns: Columns) -> Iterator[bytes | None]:
        return (image for image, _ in self._rows(columns))

    def _rows(self, columns: Columns) -> Iterator[tuple[bytes | None, list[Any] | None]]:
        import pyarrow as pa

        wanted = [columns.image] if columns.label is None else [columns.image, columns.label]
        row = 0
        try:
            for batch in self.file.iter_batches(
                batch_size=_ROWS, columns=wanted, use_threads=False
            ):
                images = images_of(batch, columns)
                for image, labels in zip(images, labels_of(batch, columns), strict=True):
                    yield image.as_py(), labels
                    row += 1
        except (pa.ArrowException, OSError, MemoryError, ValueError) as error:
            raise DamagedError(row, one_line(error)) from None


@contextmanager
def _opened(path: bytes) -> Iterator[_ParquetFile]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise pyarrow_missing("Parquet") from None
    try:
        file = pq.ParquetFile(
            os.fsdecode(path),
            buffer_size=2**20,
            pre_buffer=False,
            thrift_string_size_limit=_MOST_METADATA,
            thrift_container_size_limit=2**20,
        )
    except (pa.ArrowException, OSError, MemoryError, ValueError) as error:
        raise InputError(
            f"{text_of(path)} is no whole Parquet file ({one_line(error)})",
            hint="its directory is at its end; copy or download it again",
        ) from None
    with file:
        yield _ParquetFile(file)
