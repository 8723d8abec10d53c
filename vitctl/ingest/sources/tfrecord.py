"""TFRecord files of `tf.train.Example` as sources, read where they are; without TensorFlow.

A record is its length (uint64), the masked CRC-32C of it, the bytes and the CRC-32C of these
(TensorFlow, `core/lib/io/record_writer.h`). Lengths are checked, which is what tells a TFRecord
from other files; of the bytes, images are checked when they are decoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vitctl.errors import InputError
from vitctl.ingest.choices import Choices
from vitctl.ingest.listing import Listing
from vitctl.ingest.parts import DamagedError, Part
from vitctl.ingest.reading.streams import compression_of
from vitctl.ingest.reading.windows import InParts
from vitctl.ingest.sources.examples import Meaning, list_examples

_HEADER_BYTES, _FOOTER_BYTES = 12, 4
# An image is below 100 megapixels; a length above this is damage, whatever its checksum says.
_MOST_RECORD_BYTES = 2**30

_POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), reflected
_MASK = 0xA282EAD8


def is_tfrecord(head: bytes, path: bytes = b"") -> bool:
    length = int.from_bytes(head[:8], "little")
    return len(head) >= _HEADER_BYTES and length <= _MOST_RECORD_BYTES and _length_holds(head)


def list_tfrecords(
    given: str, paths: Sequence[bytes], choices: Choices, *, meaning: Meaning | None = None
) -> Listing:
    """The images of TFRecords, `given` by the user as one word."""
    return list_examples(
        given,
        paths,
        choices,
        records=_records,
        source_of=lambda parts, _: InParts(parts),
        in_file=True,
        kind="a TFRecord",
        kinds="TFRecords",
        meaning=meaning,
    )


def _records(part: Part) -> Iterator[tuple[int, bytes]]:
    """(where its bytes begin, the bytes) of each record. Raises `DamagedError`."""
    with open(part.path, "rb") as file:
        if compression_of(file.read(8)) is not None:
            raise InputError(
                f"{part.shown} is compressed, and can't be read at random",
                hint="decompress it: gunzip FILE",
            )
        at = 0
        while at < part.size:
            file.seek(at)
            header = file.read(_HEADER_BYTES)
            if len(header) < _HEADER_BYTES:
                raise DamagedError(at, "the file ends in the middle of a record")
            length = int.from_bytes(header[:8], "little")
            if not _length_holds(header) or length > _MOST_RECORD_BYTES:
                raise DamagedError(at, "the checksum of a record's length is wrong")
            if at + _HEADER_BYTES + length + _FOOTER_BYTES > part.size:
                raise DamagedError(at, "the file ends in the middle of a record")
            yield at + _HEADER_BYTES, file.read(length)
            at += _HEADER_BYTES + length + _FOOTER_BYTES


def _length_holds(header: bytes) -> bool:
    """Whether the length of a record has the checksum behind it."""
    checksum = 0xFFFFFFFF
    for byte in header[:8]:
        checksum = _TABLE[(checksum ^ byte) & 0xFF] ^ (checksum >> 8)
    checksum ^= 0xFFFFFFFF
    masked = ((checksum >> 15 | checksum << 17) + _MASK) & 0xFFFFFFFF
    return masked == int.from_bytes(header[8:12], "little")


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = [_entry(byte) for byte in range(256)]
