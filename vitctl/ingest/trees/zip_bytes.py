"""The bytes of a zip's member, decompressed and checked; also as a stream, for archives in zips."""

from __future__ import annotations

import os
import zlib

from vitctl.ingest.parts import DamagedError
from vitctl.ingest.trees.zip_members import (
    DEFLATED,
    DESCRIPTOR_FOLLOWS,
    ENCRYPTED,
    LOCAL,
    STORED,
)
from vitctl.pixels.header import BadImageError

_PIECE_BYTES = 2**16


class MemberBytes:
    """The bytes of a member, checked by their checksum once all are read."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        header = os.pread(descriptor, LOCAL.size, offset)
        if len(header) < LOCAL.size or header[:4] != b"PK\3\4":
            raise BadImageError("the archive is damaged where it should be")
        _, _, flags, method, _, _, checksum, _, _, name_bytes, extra_bytes = LOCAL.unpack(header)
        if flags & ENCRYPTED or method not in (STORED, DEFLATED):
            raise BadImageError("the archive is damaged where it should be")
        self._descriptor, self._left = descriptor, size
        self._at = offset + LOCAL.size + name_bytes + extra_bytes
        self._decoder = zlib.decompressobj(-zlib.MAX_WBITS) if method == DEFLATED else None
        # It lies behind the bytes if it was not known before them.
        self._wanted = None if flags & DESCRIPTOR_FOLLOWS else checksum
        self._checksum = 0

    def read(self, size: int = -1, /) -> bytes:
        size = self._left if size < 0 else min(size, self._left)
        pieces = []
        while size > 0 and (piece := self._piece(size)):
            pieces.append(piece)
            size -= len(piece)
            self._left -= len(piece)
            self._checksum = zlib.crc32(piece, self._checksum)
        if not self._left:
            self._check()
        return b"".join(pieces)

    def _piece(self, size: int) -> bytes:
        decoder = self._decoder
        if decoder is None:
            piece = os.pread(self._descriptor, size, self._at)
            self._at += len(piece)
            return piece
        try:
            while not decoder.eof:
                packed = decoder.unconsumed_tail
                if not packed:
                    packed = os.pread(self._descriptor, _PIECE_BYTES, self._at)
                    self._at += len(packed)
                    if not packed:
                        return b""
                if piece := decoder.decompress(packed, size):
                    return piece
        except zlib.error:
            raise BadImageError("its bytes in the archive are garbled") from None
        return b""

    def _check(self) -> None:
        wanted = self._wanted
        if wanted is None:
            if self._decoder is not None and not self._decoder.eof:
                self._piece(1)  # the end of the stream
            unused_bytes = len(self._decoder.unused_data) if self._decoder is not None else 0
            descriptor = os.pread(self._descriptor, 8, self._at - unused_bytes)
            descriptor = descriptor.removeprefix(b"PK\7\x08")
            wanted = int.from_bytes(descriptor[:4], "little")
        if self._checksum != wanted:
            raise BadImageError("its checksum in the archive is wrong")


class MemberStream:
    """A member as a stream from front to back."""

    compressed = True

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        self._descriptor, self._offset = descriptor, offset
        self._bytes: MemberBytes | None = None
        self.at, self.end = 0, size

    def read(self, size: int = -1, /) -> bytes:
        """So many bytes; fewer where it ends. Raises `DamagedError`."""
        try:
            if self._bytes is None:
                self._bytes = MemberBytes(self._descriptor, self._offset, self.end)
            data = self._bytes.read(size)
        except BadImageError as error:
            raise DamagedError(self.at, str(error)) from None
        self.at += len(data)
        return data

    def skip(self, size: int) -> int:
        """Pass so many bytes; how many there were."""
        passed = 0
        while passed < size and (piece := self.read(min(size - passed, _PIECE_BYTES))):
            passed += len(piece)
        return passed
