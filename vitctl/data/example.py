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
