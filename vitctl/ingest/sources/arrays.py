"""Arrays of pixels as sources: blocks of images of one size; idx.py, cifar.py, stl10.py, mat.py and
npz.py list them.

Every image is given as PGM or PPM, so what becomes of it is what becomes of any image.
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Protocol

import numpy as np
from numpy.typing import NDArray

from vitctl.data.names import text_of
from vitctl.errors import InputError
from vitctl.ingest.choices import Choices
from vitctl.ingest.columns import EntriesBuilder, Entry
from vitctl.ingest.listing import Access, Bytes, Listing
from vitctl.ingest.parts import DamagedError, Part
from vitctl.ingest.reading.mat_arrays import MatArray, array_values
from vitctl.ingest.sources.array_files import Archived, opened_at_random_in, opened_in
from vitctl.ingest.table import named_splits, read_table
from vitctl.text.quoting import one_line

_MOST_CLASSES = 2**20
# deflate's best, so that a header can't claim what its file can't hold.
MOST_EXPANSION = 1032
MOST_LABEL_BYTES = 2**30


@dataclass(frozen=True)
class Block:
    """Images of one size, one after another.

    Attributes:
      name: begins their ids.
      part: the number of their file.
      inside: which file of it, where it is an archive.
      offset: how many bytes are before the first.
      shape: number of images, height, width.
      skip: how many are before the pixels of each, its labels.
      planar: whether all red comes before all green.
      by_column: whether the pixels of a column come before those of the next one.
      by_pixel: whether the first pixels of all images come before the second ones.
      array: that of an npz or of a MATLAB file; None where the file is the array.
    """

    name: str
    part: int
    inside: Archived | None
    offset: int
    shape: tuple[int, int, int]
    channels: int
    skip: int = 0
    planar: bool = False
    by_column: bool = False
    by_pixel: bool = False
    array: str | MatArray | None = None

    @property
    def count(self) -> int:
        return self.shape[0]

    @property
    def pixel_bytes(self) -> int:
        return self.shape[1] * self.shape[2] * self.channels

    @property
    def header(self) -> bytes:
        """PGM's or PPM's."""
        magic = b"P5" if self.channels == 1 else b"P6"
        return b"%b\n%d %d\n255\n" % (magic, self.shape[2], self.shape[1])

    def encoded(self, pixels: bytes) -> bytes:
        values = np.frombuffer(pixels, np.uint8)
        if self.by_column:
            # As MATLAB stores it, and all red before all green.
            planes = values.reshape(self.channels, self.shape[2], self.shape[1])
            pixels = planes.transpose(2, 1, 0).tobytes()
        elif self.planar and self.channels > 1:
            pixels = values.reshape(self.channels, -1).T.tobytes()
        return self.header + pixels

    def described(self) -> str:
        return f"{self.count:,} images of {self.shape[1]} x {self.shape[2]} x {self.channels}"


@dataclass(frozen=True)
class Arrays:
    """Images of blocks; `Entry.part` is the number of a block, `Entry.offset` of an image in it."""

    parts: tuple[Part, ...]
    blocks: tuple[Block, ...]
    access: Access = "in order"

    @contextmanager
    def reader(self) -> Iterator[_ArrayReader]:
        with ExitStack() as files, ExitStack() as contents:
            yield _ArrayReader(self, files, contents)


@dataclass
class _ArrayReader:
    """Keeps the last file open, and of it the last array: what had to be copied to be read is
    copied once, however many arrays are in it."""

    source: Arrays
    files: ExitStack
    contents: ExitStack
    file: tuple[int, Archived | None, IO[bytes]] | None = None
    block: int | None = None
    next_image: int = 0
    content: Content | None = None

    @contextmanager
    def open(self, entry: Entry) -> Iterator[Bytes]:
        block = self.source.blocks[entry.part]
        part = self.source.parts[block.part]
        try:
            if entry.part != self.block or self.content is None:
                self.content = None
                self.contents.close()
                part.check_unchanged()
                content = self._content(block, part)
                content.skip(block.offset)
                self.content = _by_image(content, block) if block.by_pixel else content
                self.block, self.next_image = entry.part, 0
            stride = block.skip + block.pixel_bytes
            self.content.skip((entry.offset - self.next_image) * stride + block.skip)
            pixels = self.content.read(block.pixel_bytes)
            self.next_image = entry.offset + 1
        except DamagedError as error:
            raise _damaged(block, part, error.reason) from None
        if len(pixels) < block.pixel_bytes:
            raise _damaged(block, part, "it breaks off, here or before")
        yield io.BytesIO(block.encoded(pixels))

    def _content(self, block: Block, part: Part) -> Content:
        """The array of a block, from its first byte on."""
        if block.array is None:
            return Content(self.contents.enter_context(opened_in(part, block.inside)))
        if self.file is None or self.file[:2] != (block.part, block.inside):
            self.file = None
            self.files.close()
            file = self.files.enter_context(opened_at_random_in(part, block.inside))
            self.file = block.part, block.inside, file
        return self.contents.enter_context(content_of(self.file[2], block.array))


def _damaged(block: Block, part: Part, reason: str) -> DamagedError:
    return DamagedError(0, f"the images {block.name} of {part.shown} are damaged: {reason}")


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes | None: ...


class Content:
    """The bytes of a file or of a member of an npz, decompressed, from front to back."""

    def __init__(self, file: _Readable) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        pieces = []
        try:
            while size > 0 and (piece := self._file.read(min(size, 2**20))):
                pieces.append(piece)
                size -= len(piece)
        except (
            *(OSError, EOFError, ValueError, zlib.error),
            *(zipfile.BadZipFile, NotImplementedError),  # of another version of zip
        ) as error:
            raise DamagedError(0, f"its data are garbled ({one_line(error)})") from None
        return b"".join(pieces)

    def skip(self, size: int) -> None:
        while size > 0 and (piece := self.read(min(size, 2**20))):
            size -= len(piece)


def _by_image(content: Content, block: Block) -> Content:
    """The pixels of one image after another; none where the array breaks off."""
    values = np.frombuffer(content.read(block.count * block.pixel_bytes), np.uint8)
    if len(values) < block.count * block.pixel_bytes:
        return Content(io.BytesIO())
    return Content(io.BytesIO(values.reshape(block.pixel_bytes, block.count).T.tobytes()))


@contextmanager
def content_of(file: IO[bytes], array: str | MatArray) -> Iterator[Content]:
    """What an array of a file holds: of a MATLAB file's the values, of an npz's the header, too."""
    if isinstance(array, MatArray):
        yield Content(array_values(file, array))
        return
    with zipfile.ZipFile(file) as archive, archive.open(array) as member:
        yield Content(member)


@dataclass(frozen=True)
class Labelled:
    """A block with the class of each image; -1 has none."""

    block: Block
    labels: NDArray[np.int64]


def blocks_listing(
    given: str,
    parts: tuple[Part, ...],
    blocks: Sequence[Labelled],
    kind: str,
    choices: Choices,
    *,
    names: Sequence[str] | None = None,
    cautions: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Listing:
    shown = text_of(os.fsencode(given))
    if not blocks:
        raise InputError(
            f"{shown} holds no array of images",
            hint="images are arrays of bytes: N x HEIGHT x WIDTH, or with 3 channels behind",
        )
    splits, in_words = named_splits(
        [b.block.name for b in blocks], layout=choices.layout, shown=shown
    )
    numbers: dict[int, int] = {}
    builder = EntriesBuilder()
    skipped = 0
    for number, (labelled, split) in enumerate(zip(blocks, splits, strict=True)):
        block = labelled.block
        for i, value in enumerate(labelled.labels.tolist()):
            if value < 0 and choices.takes_labels:
                skipped += 1
                continue
            if value >= (_MOST_CLASSES if names is None else len(names)):
                raise InputError(f"image {i:,} of {block.name} has the label {value}")
            builder.add(
                f"{block.name}/{i:06d}".encode(),
                size=len(block.header) + block.pixel_bytes,
                mtime_ns=parts[block.part].mtime_ns,
                split=split,
                labels=() if value < 0 else (numbers.setdefault(value, len(numbers)),),
                part=number,
                offset=i,
            )
    sizes = "; ".join(dict.fromkeys(labelled.block.described() for labelled in blocks))
    listing = Listing(
        shown,
        Arrays(parts, tuple(labelled.block for labelled in blocks)),
        builder.build(),
        [str(value) if names is None else names[value] for value in numbers],
        reading=f"{shown} is read as {kind}: {sizes}, {in_words}",
        parts=parts,
        cautions=tuple(cautions),
        notes=tuple(notes),
    )
    if skipped:
        listing.skipped["images with a negative label"] += skipped
    return read_table(listing, choices)
