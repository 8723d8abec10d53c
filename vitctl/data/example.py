"""`tf.train.Example` on the wire, written and read without TensorFlow.

An example has three features: `image` (encoded bytes), `label` (one or more int64) and `id` (UTF-8
bytes). The encoding is canonical (features by name, integers packed), so equal examples are equal
bytes, the same ones TensorFlow writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vitctl.protobuf import fields, length_delimited, messages, read_varint, varint

# Field numbers of tensorflow/core/example/{example,feature}.proto.
_EXAMPLE_FEATURES = 1
_FEATURES_ENTRY = 1
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_FEATURE_BYTES, _FEATURE_INT64 = 1, 3
_LIST_VALUE = 1


@dataclass(frozen=True)
class Example:
    """One image and what is known of it."""

    image: bytes
    labels: tuple[int, ...]
    id: str


def encode_example(example: Example) -> bytes:
    """The serialised `tf.train.Example`; the same bytes for the same example, always."""
    features = {
        "id": _bytes_feature(example.id.encode()),
        "image": _bytes_feature(example.image),
        "label": _int64_feature(example.labels),
    }
    entries = b"".join(
        length_delimited(
            _FEATURES_ENTRY,
            length_delimited(_ENTRY_KEY, name.encode()) + length_delimited(_ENTRY_VALUE, feature),
        )
        for name, feature in sorted(features.items())
    )
    return length_delimited(_EXAMPLE_FEATURES, entries)


def decode_example(record: bytes) -> Example:
    """Read a serialised `tf.train.Example`. Features other than the three are passed over.

    Raises `ValueError` saying what is wrong; the caller knows which shard and record it was.
    """
    image: bytes | None = None
    labels: tuple[int, ...] | None = None
    sample_id: str | None = None
    for features in messages(memoryview(record), _EXAMPLE_FEATURES):
        for entry in messages(features, _FEATURES_ENTRY):
            name = b"".join(bytes(key) for key in messages(entry, _ENTRY_KEY))
            for feature in messages(entry, _ENTRY_VALUE):
                if name == b"image":
                    image = _one_bytes(feature, "image")
                elif name == b"label":
                    labels = tuple(_int64s(feature))
                elif name == b"id":
                    sample_id = _one_bytes(feature, "id").decode()
    if image is None or labels is None or sample_id is None:
        raise ValueError("it lacks one of the features image, label and id")
    return Example(image, labels, sample_id)


def image_of(record: bytes) -> bytes:
    """The image of a serialised `tf.train.Example`, as `decode_example` gives it.

    A record as `encode_example` writes it is only sliced, which takes a twentieth of the time; any
    other one is read as a whole. Raises `ValueError` as `decode_example` does.
    """
    try:
        image = _image_where_written(record)
    except IndexError:  # it ends early
        image = None
    return decode_example(record).image if image is None else image


def _image_where_written(record: bytes) -> bytes | None:
    """The image of a record with the features id, image and label, in that order, each once, the
    numbers packed; None of another one, whether or not that is an example."""
    features = _payload(record, b"\x0a", 0)
    if features is None or features[1] != len(record):
        return None
    values, at = [], features[0]
    for name, kind in (
        (b"\x0a\x02id", b"\x0a"),
        (b"\x0a\x05image", b"\x0a"),
        (b"\x0a\x05label", b"\x1a"),
    ):
        entry = _payload(record, b"\x0a", at)
        if entry is None:
            return None
        begin, at = entry
        value = begin + len(name)
        if record[begin:value] != name:
            return None
        for key in (b"\x12", kind, b"\x0a"):  # the feature, its list, the value in it
            if value == at and key == b"\x0a" and kind == b"\x1a":
                break  # a list without numbers
            payload = _payload(record, key, value)
            if payload is None or payload[1] != at:
                return None
            value = payload[0]
        values.append(record[value:at])
    sample_id, image, numbers = values
    # Up to ten bytes that end a number hold numbers of at most ten bytes.
    whole = not numbers or (len(numbers) <= 10 and numbers[-1] < 0x80)
    if at != len(record) or not whole or not sample_id.isascii():
        return None
    return image


def _payload(record: bytes, key: bytes, at: int) -> tuple[int, int] | None:
    """Where the payload of the length-delimited field at `at` begins and ends; None if the field
    there has another key, a length of more than ten bytes, or does not end within the record.
    Raises `IndexError` past the end."""
    if record[at] != key[0]:
        return None
    length = 0
    for shift in range(0, 70, 7):
        at += 1
        byte = record[at]
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            begin, end = at + 1, at + 1 + length
            return (begin, end) if end <= len(record) else None
    return None


# Writing


def _bytes_feature(value: bytes) -> bytes:
    return length_delimited(_FEATURE_BYTES, length_delimited(_LIST_VALUE, value))


def _int64_feature(values: Iterable[int]) -> bytes:
    packed = b"".join(varint(value % 2**64) for value in values)
    return length_delimited(
        _FEATURE_INT64, length_delimited(_LIST_VALUE, packed) if packed else b""
    )


# Reading


def _one_bytes(feature: memoryview, name: str) -> bytes:
    values = [
        bytes(value)
        for values in messages(feature, _FEATURE_BYTES)
        for value in messages(values, _LIST_VALUE)
    ]
    if len(values) != 1:
        raise ValueError(f"feature {name} has {len(values)} values instead of one")
    return values[0]


def _int64s(feature: memoryview) -> Iterator[int]:
    """Packed or one by one: readers of protocol buffers must take both."""
    for values in messages(feature, _FEATURE_INT64):
        for number, value in fields(values):
            if number != _LIST_VALUE:
                continue
            if isinstance(value, int):
                yield _signed(value)
                continue
            at = 0
            while at < len(value):
                word, at = read_varint(value, at)
                yield _signed(word)


def _signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word
