"""A source that is read in order, made one that is read at random: a copy on the local disk.

Records lie in the order of a hash, so that any shard is a random sample; what is compressed as a
whole can't be read in that order. The images that are needed are copied once, one after another,
into one file that goes away with the work; members' names are never those of files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vitctl.errors import DoesNotFitError
from vitctl.events import Emit, Note
from vitctl.ingest.columns import Entries, Entry, largest_in_words
from vitctl.ingest.listing import Access, Source, pieces
from vitctl.ingest.parts import DamagedError
from vitctl.ingest.reading.windows import Window
from vitctl.pixels.header import BadImageError
from vitctl.places import nofollow
from vitctl.places.scratch import scratch

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Spooled:
    """Images of another source, one after another in a file.

    Attributes:
      path: of that file.
      parts, offsets: int64[n], the columns of the other source, in its order.
      starts, sizes: int64[n], where each image is in the file. It is shorter than it was listed if
        the source broke off, and has a size of -1 if its bytes are damaged.
      reasons: why, by the row of such an image.
    """

    path: str
    parts: I64
    offsets: I64
    starts: I64
    sizes: I64
    reasons: Mapping[int, str]
    access: Access = "random"

    @contextmanager
    def reader(self) -> Iterator[_SpoolReader]:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield _SpoolReader(self, descriptor)
        finally:
            os.close(descriptor)


@dataclass
class _SpoolReader:
    spooled: Spooled
    descriptor: int

    @contextmanager
    def open(self, entry: Entry) -> Iterator[Window]:
        first, end = np.searchsorted(self.spooled.parts, [entry.part, entry.part + 1])
        row = first + np.searchsorted(self.spooled.offsets[first:end], entry.offset)
        size = int(self.spooled.sizes[row])
        if size < 0:
            raise BadImageError(self.spooled.reasons[int(row)])
        yield Window(self.descriptor, int(self.spooled.starts[row]), size)


@contextmanager
def at_random(
    source: Source, entries: Sequence[Entries], *, largest: int, emit: Emit
) -> Iterator[Source]:
    """A source that gives the same images at random; itself if it does that already.

    Files above `largest` bytes are no images, and only their beginnings are copied. Raises
    `DoesNotFitError`.
    """
    if source.access == "random":
        yield source
        return
    needed = sum(int(np.minimum(part.sizes, largest).sum()) for part in entries)
    if not needed:  # nothing is left to read
        yield source
        return
    with scratch(needed, of=largest_in_words(entries, most=largest)) as folder:
        emit(
            Note(
                f"{needed / 2**20:,.1f} MiB of images are copied to {folder}, since this "
                "source is read from front to back only"
            )
        )
        yield _copied(source, entries, path=folder / "images", largest=largest)


def _copied(source: Source, entries: Sequence[Entries], *, path: Path, largest: int) -> Spooled:
    numbers = np.concatenate([np.full(len(part), i) for i, part in enumerate(entries)])
    rows = np.concatenate([np.arange(len(part)) for part in entries])
    parts = np.concatenate([part.parts.astype(np.int64) for part in entries])
    offsets = np.concatenate([part.offsets for part in entries])
    order = np.lexsort((offsets, parts))
    starts, sizes = np.zeros(len(order), np.int64), np.zeros(len(order), np.int64)
    reasons: dict[int, str] = {}
    try:
        with nofollow.opened(path, "wb") as file, source.reader() as reader:
            for i, row in enumerate(order):
                starts[i] = file.tell()
                try:
                    for piece in pieces(reader, entries[numbers[row]][int(rows[row])]):
                        file.write(piece)
                        sizes[i] += len(piece)
                        if sizes[i] >= largest:
                            break
                except DamagedError as error:  # a zip's member is checked once it is read
                    sizes[i] = -1
                    reasons[i] = error.reason
    except OSError as error:
        raise DoesNotFitError(
            f"the images can't be copied to {path} ({error.strerror})",
            hint="set TMPDIR to a larger disk",
        ) from None
    return Spooled(str(path), parts[order], offsets[order], starts, sizes, reasons)
