"""The bytes of a file -> the bytes to store, checked by the decoder that training uses."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from vitctl.data.decode import decode
from vitctl.data.tensorflow import load_tensorflow, tf_reason
from vitctl.ingest.convert import convert_to_png, other_readers_reason, training_reason
from vitctl.ingest.header import BadImageError, Header, read_header
from vitctl.ingest.orientation import png_chunks

_PIECE_BYTES = 2**20
_CRITICAL = (b"IHDR", b"PLTE")


@dataclass(frozen=True)
class Prepared:
    """An image fit for a dataset."""

    image: bytes
    converted: str | None = None
    """Why it became a PNG; None if these are the bytes of the file."""
    differs: str | None = None
    """Why other readers of the dataset see other pixels or channels than training does; only
    where the bytes were kept on request."""


def prepare(data: bytes, *, max_pixels: int, keep_bytes: bool = False) -> Prepared:
    """What to store of an encoded image; `keep_bytes` stores what training decodes as it should
    untouched, whatever other readers make of it.

    Raises `BadImageError` with the reason if no decoder here can use it.
    """
    header = read_header(data, max_pixels=max_pixels)
    differs = other_readers_reason(header)
    reason = training_reason(header) or (None if keep_bytes else differs)
    if reason is None:
        reason = _trouble(data, header)
    if reason is None:
        return Prepared(data, differs=differs)
    image = convert_to_png(data, header)
    _decoded_size(image)
    return Prepared(image, converted=reason)


def _trouble(data: bytes, header: Header) -> str | None:
    """Why TensorFlow can't decode all of an image whose header promised that it can."""
    try:
        size = _decoded_size(data)
    except BadImageError:
        if header.format == "PNG" and (damage := _damage(data)) is not None:
            # The other decoder doesn't look.
            raise BadImageError(f"it is damaged ({damage}); copy or download it again") from None
        return f"{header.format} that TensorFlow can't decode"
    if size != (header.height, header.width):
        return f"{header.format} that TensorFlow decodes in part"
    return None


def _decoded_size(data: bytes) -> tuple[int, int]:
    """(height, width) as the training decoder sees the image."""
    tf = load_tensorflow()
    try:
        height, width, _ = decode(tf.constant(data)).shape
    except tf.errors.OpError as error:
        raise BadImageError(f"it can't be decoded ({tf_reason(error)})") from None
    return height, width


def _damage(data: bytes) -> str | None:
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
