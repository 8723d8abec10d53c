"""Files read from front to back, decompressed on the way, with bounds on what they can cost.

    with open_stream(path) as stream:
        stream.read(512); stream.skip(10_000); stream.at

A file that is not compressed is skipped through without being read. Compressed data that expand as
no images do (a bomb) end with `DamagedError`; so do truncated and garbled ones.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Literal, Protocol

from vitctl import extras
from vitctl.errors import InputError
from vitctl.ingest.parts import DamagedError

if TYPE_CHECKING:
    import zstandard

Compression = Literal["gzip", "bzip2", "xz", "zstd"]

_MAGIC: tuple[tuple[bytes, Compression], ...] = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)
_PIECE_BYTES = 2**20
# Encoded images hardly compress, and 8-bit pixels by a factor of ten or so. gzip of zeros reaches
# 1,032, bzip2 more than a million.
MOST_EXPANSION = 200
SUSPICIOUS_BYTES = 2**28
# xz -9 needs 65 MiB; a header can claim 4 GiB.
_XZ_MEMORY = 2**28
# zstd -19 needs 8 MiB, and `--long` 128; a header can claim 2 GiB.
_ZSTD_WINDOW_LOG = 27
# A block of 4 bytes can be 128 KiB of one byte, so this much is 64 MiB at most.
_ZSTD_PIECE = 2**11


class Stream(Protocol):
    """Bytes from front to back."""

    at: int
    """How many bytes lie behind."""
    compressed: bool

    @property
    def end(self) -> int | None:
        """Where it ends, if that is known."""
        ...

    def read(self, size: int, /) -> bytes:
        """So many bytes; fewer where the stream ends. Raises `DamagedError`."""
        ...

    def skip(self, size: int) -> int:
        """Pass so many bytes; how many there were."""
        ...


def compression_of(head: bytes) -> Compression | None:
    return next((name for magic, name in _MAGIC if head.startswith(magic)), None)


@contextmanager
def open_stream(path: bytes) -> Iterator[Stream]:
    """The contents of a file. Raises OSError, `InputError` for a compression that can't be read."""
    with open(path, "rb") as file:
        compression = compression_of(file.read(8))
        file.seek(0)
        size = os.fstat(file.fileno()).st_size
        if compression is None:
            yield PlainStream(file, size)
        else:
            yield DecompressedStream(file, compression, compressed_bytes=size)


def decompressed(stream: Stream, *, size: int, compression: Compression) -> Stream:
    """The contents of the next `size` bytes of a stream, which are compressed."""
    file = io.BufferedReader(Stretch(stream, size))
    return DecompressedStream(file, compression, compressed_bytes=size)


def span_on_disk(stream: Stream) -> tuple[int, int] | None:
    """(first byte, number of bytes) of the file in which what is left of a stream lies as it is;
    None where it is compressed."""
    if isinstance(stream, PlainStream):
        return stream.at, stream.end - stream.at
    if isinstance(stream, Stretch):
        return stream.span_on_disk()
    return None


class PlainStream:
    """A file as it is, or a stretch of it from `start` to `end`."""

    compressed = False
    end: int

    def __init__(self, file: IO[bytes], end: int, *, start: int = 0) -> None:
        self._file, self.end = file, end
        self.at = start

    def read(self, size: int, /) -> bytes:
        self._file.seek(self.at)
        data = self._file.read(max(0, min(size, self.end - self.at)))
        self.at += len(data)
        return data

    def skip(self, size: int) -> int:
        passed = min(size, self.end - self.at)
        self.at += passed
        return passed


class Stretch(io.RawIOBase):
    """The next bytes of a stream and none behind them, as a stream and as a file."""

    compressed = True  # it can't be read at random

    def __init__(self, stream: Stream, size: int) -> None:
        self._stream, self.end = stream, size
        self.at = 0
        self._begun = b""

    def peek(self, size: int) -> bytes:
        """The first bytes, which are read again."""
        self._begun = self._stream.read(min(size, self.end))
        return self._begun

    def read(self, size: int = -1, /) -> bytes:
        left = max(0, self.end - self.at)
        size = left if size < 0 else min(size, left)
        data, self._begun = self._begun[:size], self._begun[size:]
        if size > len(data):
            data += self._stream.read(size - len(data))
        self.at += len(data)
        return data

    def skip(self, size: int) -> int:
        size = max(0, min(size, self.end - self.at))
        first, self._begun = self._begun[:size], self._begun[size:]
        passed = len(first) + self._stream.skip(size - len(first))
        self.at += passed
        return passed

    def span_on_disk(self) -> tuple[int, int] | None:
        """As the function of that name."""
        span = span_on_disk(self._stream)
        if span is None:
            return None
        first, left = span[0] - len(self._begun), span[1] + len(self._begun)
        return first, min(left, max(0, self.end - self.at))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class DecompressedStream:
    """What a compressed file holds."""

    compressed = True
    end = None

    def __init__(self, file: IO[bytes], compression: Compression, *, compressed_bytes: int) -> None:
        self._file = _opened(file, compression)
        self._most = max(SUSPICIOUS_BYTES, MOST_EXPANSION * compressed_bytes)
        self.at = 0

    def read(self, size: int, /) -> bytes:
        pieces = []
        while size > 0 and (piece := self._piece(min(size, _PIECE_BYTES))):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def skip(self, size: int) -> int:
        passed = 0
        while passed < size and (piece := self._piece(min(size - passed, _PIECE_BYTES))):
            passed += len(piece)
        return passed

    def _piece(self, size: int) -> bytes:
        try:
            piece = self._file.read(size)
        except EOFError:
            raise DamagedError(self.at, "the compressed data break off") from None
        except (OSError, zlib.error, lzma.LZMAError, ValueError):
            raise DamagedError(self.at, "the compressed data are garbled") from None
        self.at += len(piece)
        if self.at > self._most:
            raise DamagedError(
                self.at, f"the data expand more than {MOST_EXPANSION} times, as no images do"
            )
        return piece


def _opened(file: IO[bytes], compression: Compression) -> IO[bytes]:
    if compression == "gzip":
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
    if compression == "bzip2":
        return bz2.BZ2File(file)
    if compression == "xz":
        return io.BufferedReader(_Xz(file))
    return _zstd(file)


def _zstd(file: IO[bytes]) -> IO[bytes]:
    """By Python's own library from 3.14 on, or by the package zstandard."""
    try:
        from compression import zstd
    except ImportError:
        pass
    else:
        limit = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        return zstd.ZstdFile(file, options=limit)
    try:
        import zstandard  # noqa: F401 - only whether it is there
    except ImportError:
        raise InputError(
            "it is compressed by zstd, which this Python does not read by itself",
            hint=f"{extras.install('zstd')}, or decompress it: unzstd FILE",
        ) from None
    return io.BufferedReader(_Zstd(file))


class _Zstd(io.RawIOBase):
    """The package zstandard's decompressor, with a limit of memory, and errors that others know."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder: zstandard.ZstdDecompressionObj | None = None
        self._packed, self._data = b"", memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        while not self._data:
            packed = self._packed or self._file.read(_ZSTD_PIECE)
            self._packed = b""
            if not packed:
                if self._decoder is not None:
                    raise EOFError
                return 0
            self._decompress(packed)
        size = min(len(buffer), len(self._data))
        buffer[:size], self._data = self._data[:size], self._data[size:]
        return size

    def _decompress(self, packed: bytes) -> None:
        import zstandard

        try:
            if self._decoder is None:
                limited = zstandard.ZstdDecompressor(max_window_size=2**_ZSTD_WINDOW_LOG)
                self._decoder = limited.decompressobj()
            self._data = memoryview(self._decoder.decompress(packed))
        except zstandard.ZstdError as error:
            raise OSError(str(error)) from None
        if self._decoder.eof:  # another frame may follow
            self._packed, self._decoder = self._decoder.unused_data, None


class _Xz(io.RawIOBase):
    """`lzma.LZMAFile` with a limit of memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder: lzma.LZMADecompressor | None = None
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        while True:
            if self._decoder is None or self._decoder.eof:
                rest = self._decoder.unused_data if self._decoder is not None else b""
                rest = rest.lstrip(b"\0") or self._file.read(_PIECE_BYTES).lstrip(b"\0")
                if not rest:
                    return 0
                self._decoder, self._rest = lzma.LZMADecompressor(memlimit=_XZ_MEMORY), rest
            elif self._decoder.needs_input:
                self._rest = self._file.read(_PIECE_BYTES)
                if not self._rest:
                    raise EOFError
            data = self._decoder.decompress(self._rest, max_length=len(buffer))
            self._rest = b""
            if data:
                buffer[: len(data)] = data
                return len(data)
