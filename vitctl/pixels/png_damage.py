"""What is wrong with the bytes of a PNG, of which decoders look at different parts."""

from __future__ import annotations

import zlib

from vitctl.pixels.header import BadImageError, Header
from vitctl.pixels.orientation import png_chunks

_PIECE_BYTES = 2**20
_CRITICAL = (b"IHDR", b"PLTE")


def check_png(data: bytes, header: Header) -> None:
    """Raise `BadImageError` for a damaged PNG: decoders look at few of its checksums."""
    if header.format == "PNG" and (damaged := damage(data)) is not None:
        raise BadImageError(f"it is damaged ({damaged}); copy or download it again")


def damage(data: bytes) -> str | None:
    """What is not as it was written in a PNG; None if its pixels are.

    Pixels have two checksums, of their chunks and of the compressed stream. The second decides: a
    chunk's may be wrong because a program changed the file and forgot it.
    """
    pixels = []
    broken = None
    at = 8
    for kind, content in png_chunks(data):
        if kind == b"IDAT":
            pixels.append(content)
        stored = data[at + 8 + len(content) : at + 12 + len(content)]
        if zlib.crc32(content, zlib.crc32(kind)).to_bytes(4, "big") != stored:
            broken = broken or kind
        at += 12 + len(content)
    checksum_holds = _inflated(pixels)
    if checksum_holds is None:
        return "its pixels end too early, or are garbled"
    if not checksum_holds:
        return "the checksum of its pixels is wrong"
    return f"the checksum of its {broken.decode()} is wrong" if broken in _CRITICAL else None


def _inflated(parts: list[memoryview]) -> bool | None:
    """Whether a zlib stream has the checksum it says (RFC 1950), None if it doesn't even end; in
    little memory."""
    stream = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    checksum = 1
    rest = b"".join(parts)[2:]
    try:
        while rest and not stream.eof:
            checksum = zlib.adler32(stream.decompress(rest, _PIECE_BYTES), checksum)
            rest = stream.unconsumed_tail
    except zlib.error:
        return None
    return stream.unused_data[:4] == checksum.to_bytes(4, "big") if stream.eof else None
