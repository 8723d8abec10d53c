"""Protocol buffers on the wire: as much as the library's few messages need.

https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_ONE_BYTE = [bytes([value]) for value in range(0x80)]


def key(number: int, wire: int) -> bytes:
    """What precedes the value of field `number`."""
    return varint(number << 3 | wire)


def length_delimited(number: int, payload: bytes) -> bytes:
    """A field of bytes, text or a message."""
    return key(number, LENGTH) + varint(len(payload)) + payload


def varint(value: int) -> bytes:
    """A number of seven bits a byte."""
    if 0 <= value <= 0x7F:
        return _ONE_BYTE[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def messages(data: memoryview, wanted: int) -> Iterator[memoryview]:
    """The payloads of the length-delimited fields numbered `wanted`."""
    for number, value in fields(data):
        if number == wanted and isinstance(value, memoryview):
            yield value


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each varint or length-delimited field; others are passed over.

    Raises ValueError where the data is none.
    """
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, at = read_varint(data, at)
            yield number, value
            continue
        if wire == LENGTH:
            length, at = read_varint(data, at)
        elif wire in (FIXED64, FIXED32):
            length = 8 if wire == FIXED64 else 4
        else:
            raise ValueError(f"it is no protocol buffer (wire type {wire})")
        if at + length > len(data):
            raise ValueError("it ends in the middle of a field")
        if wire == LENGTH:
            yield number, data[at : at + length]
        at += length


def read_varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number at `at`, and where what follows it begins."""
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
