"""`tf.train.Example` on the wire, written and read without TensorFlow.

An example has three features: `image` (encoded bytes), `label` (one or more int64) and `id` (UTF-8
bytes). The encoding is canonical (features by name, integers packed), so equal examples are equal
bytes, the same ones TensorFlow writes. Wire format: https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# Field numbers of tensorflow/core/example/{example,feature}.proto.
_EXAMPLE_FEATURES = 1
_FEATURES_ENTRY = 1
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_FEATURE_BYTES, _FEATURE_INT64 = 1, 3
_LIST_VALUE = 1

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


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
        _field(_FEATURES_ENTRY, _field(_ENTRY_KEY, name.encode()) + _field(_ENTRY_VALUE, feature))
        for name, feature in sorted(features.items())
    )
    return _field(_EXAMPLE_FEATURES, entries)


def decode_example(record: bytes) -> Example:
    """Read a serialised `tf.train.Example`. Features other than the three are passed over.

    Raises `ValueError` saying what is wrong; the caller knows which shard and record it was.
    """
    image: bytes | None = None
    labels: tuple[int, ...] | None = None
    sample_id: str | None = None
    for features in _messages(memoryview(record), _EXAMPLE_FEATURES):
        for entry in _messages(features, _FEATURES_ENTRY):
            name = b"".join(bytes(key) for key in _messages(entry, _ENTRY_KEY))
            for feature in _messages(entry, _ENTRY_VALUE):
                if name == b"image":
                    image = _one_bytes(feature, "image")
                elif name == b"label":
                    labels = tuple(_int64s(feature))
                elif name == b"id":
                    sample_id = _one_bytes(feature, "id").decode()
    if image is None or labels is None or sample_id is None:
        raise ValueError("it lacks one of the features image, label and id")
    return Example(image, labels, sample_id)


# Writing


def _bytes_feature(value: bytes) -> bytes:
    return _field(_FEATURE_BYTES, _field(_LIST_VALUE, value))


def _int64_feature(values: Iterable[int]) -> bytes:
    packed = b"".join(_varint(value % 2**64) for value in values)
    return _field(_FEATURE_INT64, _field(_LIST_VALUE, packed) if packed else b"")


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


# Reading


def _messages(data: memoryview, wanted: int) -> Iterator[memoryview]:
    """The payloads of the length-delimited fields numbered `wanted`."""
    for number, value in _fields(data):
        if number == wanted and isinstance(value, memoryview):
            yield value


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _read_varint(data, at)
            yield number, value
            continue
        if wire == _LENGTH:
            length, at = _read_varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"it is not a tf.train.Example (wire type {wire})")
        if at + length > len(data):
            raise ValueError("it ends in the middle of a field")
        if wire == _LENGTH:
            yield number, data[at : at + length]
        at += length


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("it ends in the middle of a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value % 2**64, at
    raise ValueError("it holds a number of more than ten bytes")


def _one_bytes(feature: memoryview, name: str) -> bytes:
    values = [
        bytes(value)
        for values in _messages(feature, _FEATURE_BYTES)
        for value in _messages(values, _LIST_VALUE)
    ]
    if len(values) != 1:
        raise ValueError(f"feature {name} has {len(values)} values instead of one")
    return values[0]


def _int64s(feature: memoryview) -> Iterator[int]:
    """Packed or one by one: readers of protocol buffers must take both."""
    for values in _messages(feature, _FEATURE_INT64):
        for number, value in _fields(values):
            if number != _LIST_VALUE:
                continue
            if isinstance(value, int):
                yield _signed(value)
                continue
            at = 0
            while at < len(value):
                word, at = _read_varint(value, at)
                yield _signed(word)


def _signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word
