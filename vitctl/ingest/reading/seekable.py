"""A stream made a file that can be read at random, as a zip's directory at its end asks for.

What lies in a larger file as it is, is read where it lies. What is compressed is copied to the
local disk, into a file that goes away with the work; names in archives are never those of files.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO

from vitctl.errors import DoesNotFitError
from vitctl.ingest.parts import Part
from vitctl.ingest.reading.streams import Stream, span_on_disk
from vitctl.places import nofollow
from vitctl.places.scratch import scratch

_PIECE_BYTES = 2**20


@contextmanager
def seekable(stream: Stream, part: Part, *, of: str) -> Iterator[IO[bytes]]:
    """What is left of a stream of a file, from byte 0 on; the stream itself may be closed
    afterwards. `of` names what may have to be copied. Raises OSError, `DamagedError` where the
    stream does, and `DoesNotFitError`."""
    with ExitStack() as files:
        span = span_on_disk(stream)
        if span is not None:
            descriptor = os.open(part.path, os.O_RDONLY | os.O_CLOEXEC)
            files.callback(os.close, descriptor)
            yield io.BufferedReader(_Span(descriptor, *span))
            return
        # How much a compressed file holds is known once it is read.
        needed = 0 if stream.end is None else stream.end - stream.at
        folder = files.enter_context(scratch(needed, of=of))
        path = folder / "file"
        try:
            file = files.enter_context(nofollow.opened(path, "w+b"))
        except OSError as error:
            raise _no_room(of, folder, error) from None
        while piece := stream.read(_PIECE_BYTES):
            try:
                file.write(piece)
            except OSError as error:
                raise _no_room(of, folder, error) from None
        file.seek(0)
        yield file


def _no_room(of: str, folder: object, error: OSError) -> DoesNotFitError:
    return DoesNotFitError(
        f"{of} can't be copied to {folder} ({error.strerror})",
        hint="set TMPDIR to a larger disk",
    )


class _Span(io.RawIOBase):
    """A span of an open file, as a file of its own."""

    def __init__(self, descriptor: int, first: int, size: int) -> None:
        self._descriptor, self._first, self._size = descriptor, first, size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        size = max(0, min(len(buffer), self._size - self._at))
        data = os.pread(self._descriptor, size, self._first + self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
