"""TFRecord files of `tf.train.Example` as sources, read where they are; without TensorFlow.

A record is its length (uint64), the masked CRC-32C of it, the bytes and the CRC-32C of these
(TensorFlow, `core/lib/io/record_writer.h`). Lengths are checked, which is what tells a TFRecord
from other files; of the bytes, images are checked when they are decoded.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vitctl.data.names import text_of
from vitctl.errors import InputError, UsageError
from vitctl.ingest.choices import Choices
from vitctl.ingest.columns import EntriesBuilder
from vitctl.ingest.parts import DamagedError, Part
from vitctl.ingest.sources import Listing
from vitctl.ingest.streams import compression_of
from vitctl.ingest.table import in_parts, read_table
from vitctl.ingest.windows import InParts
from vitctl.protobuf import LENGTH, VARINT, read_varint

_HEADER_BYTES, _FOOTER_BYTES = 12, 4
# An image is below 100 megapixels; a length above this is damage, whatever its checksum says.
_MOST_RECORD_BYTES = 2**30
# TF-Slim's ImageNet has the first of each, TensorFlow Datasets the second.
_IMAGES = ("image/encoded", "image", "image_raw", "image/data")
_LABELS = ("image/class/label", "label", "labels")

_POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), reflected
_MASK = 0xA282EAD8


@dataclass(frozen=True)
class Feature:
    """One feature of an Example.

    Attributes:
      texts: where the values of a list of bytes are in the record, (start, end).
      numbers: the values of a list of integers.
    """

    texts: tuple[tuple[int, int], ...] = ()
    numbers: tuple[int, ...] = ()


def is_tfrecord(head: bytes, path: bytes = b"") -> bool:
    length = int.from_bytes(head[:8], "little")
    return len(head) >= _HEADER_BYTES and length <= _MOST_RECORD_BYTES and _length_holds(head)


def list_tfrecords(
    given: str,
    paths: Sequence[bytes],
    choices: Choices,
) -> Listing:
    """The images of TFRecords, `given` by the user as one word. Columns are features."""
    shown = text_of(os.fsencode(given))
    parts = tuple(Part.of(path) for path in paths)
    builder = EntriesBuilder()
    numbers: dict[str, int] = {}
    skipped: Counter[str] = Counter()
    cautions: list[str] = []
    image, label = choices.image_column, choices.label_column
    for number, part in enumerate(parts):
        try:
            for row, (offset, record) in enumerate(_records(part)):
                features = example(record, at=offset)
                if image is None:
                    image = _chosen(_IMAGES, features, what="image", shown=part.shown)
                if label is None and choices.takes_labels:
                    label = _chosen(_LABELS, features, what="label", shown=part.shown)
                texts = features.get(image, Feature()).texts
                if len(texts) != 1:
                    skipped[f"records without an image in {image}"] += 1
                    continue
                names = _names(record, features.get(label or "", Feature()))
                if choices.takes_labels and not names:
                    skipped[f"records without a label in {label}"] += 1
                    continue
                builder.add(
                    f"{row:08d}".encode(),
                    size=texts[0][1] - texts[0][0],
                    mtime_ns=part.mtime_ns,
                    labels=[numbers.setdefault(name, len(numbers)) for name in names]
                    if choices.takes_labels
                    else (),
                    part=number,
                    offset=offset + texts[0][0],
                )
        except DamagedError as error:
            cautions.append(
                f"{part.shown} is damaged at byte {error.at:,} ({error.reason}); what lies before "
                "is taken"
            )
    for option, column in (("image", choices.image_column), ("label", choices.label_column)):
        if column is not None and not len(builder):
            raise UsageError(f"--{option}-column: no record of {shown} has what it names")
    files, splits = in_parts(builder.build(), paths, layout=choices.layout, shown=shown)
    many = "a TFRecord" if len(parts) == 1 else f"{len(parts):,} TFRecords"
    of_labels = f" and labels of {label}" if choices.takes_labels else ""
    listing = Listing(
        shown,
        InParts(parts),
        files,
        list(numbers),
        skipped=skipped,
        reading=f"{shown} is read as {many} with images in {image}{of_labels}, {splits}",
        parts=parts,
        cautions=tuple(cautions),
    )
    return read_table(listing, choices)


def example(record: bytes, *, at: int) -> dict[str, Feature]:
    """The features of a serialised `tf.train.Example`; where it is none, `DamagedError` names `at`,
    its place in the file."""
    features: dict[str, Feature] = {}
    try:
        for begin, end in _inside(record, 0, len(record), 1):  # Example.features
            for entry in _inside(record, begin, end, 1):  # Features.feature
                name = b"".join(record[a:b] for a, b in _inside(record, *entry, 1))
                for value in _inside(record, *entry, 2):
                    texts = tuple(
                        span
                        for values in _inside(record, *value, 1)  # Feature.bytes_list
                        for span in _inside(record, *values, 1)
                    )
                    integers = tuple(
                        number
                        for values in _inside(record, *value, 3)  # Feature.int64_list
                        for number in _integers(record, *values)
                    )
                    features[name.decode("utf-8", "replace")] = Feature(texts, integers)
    except ValueError as error:
        raise DamagedError(at, f"a record is no tf.train.Example: {error}") from None
    return features


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(number, wire type, start and end of the value) of each field between two places."""
    view = memoryview(data)[:end]
    while at < end:
        tag, at = read_varint(view, at)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            _, after = read_varint(view, at)
            yield number, wire, at, after
            at = after
            continue
        if wire == LENGTH:
            length, at = read_varint(view, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + length > end:
            raise ValueError("it ends in the middle of a field")
        yield number, wire, at, at + length
        at += length


def _inside(data: bytes, start: int, end: int, wanted: int) -> Iterator[tuple[int, int]]:
    """Where the length-delimited fields of a number are."""
    for number, wire, begin, after in _fields(data, start, end):
        if number == wanted and wire == LENGTH:
            yield begin, after


def _integers(data: bytes, start: int, end: int) -> Iterator[int]:
    """The values of an Int64List, packed or not."""
    for number, _, begin, after in _fields(data, start, end):
        if number != 1:
            continue
        at = begin
        while at < after:
            value, at = read_varint(memoryview(data)[:after], at)
            value &= 2**64 - 1
            yield value - 2**64 if value >= 2**63 else value


def _names(record: bytes, feature: Feature) -> list[str]:
    """Class names of a feature's values; none for -1, by which test splits hide theirs."""
    texts = [text_of(record[start:end].strip()) for start, end in feature.texts]
    return list(dict.fromkeys([*texts, *(str(n) for n in feature.numbers if n != -1)]))


def _chosen(usual: Sequence[str], features: Mapping[str, Feature], *, what: str, shown: str) -> str:
    column = next((name for name in usual if name in features), None)
    if column is None:
        raise InputError(
            f"the records of {shown} have none of the usual features of {what}s (they have "
            f"{', '.join(sorted(features)[:8])})",
            hint=f"name it: --{what}-column NAME"
            + ("; or shard without labels: --unlabelled" if what == "label" else ""),
        )
    return column


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
