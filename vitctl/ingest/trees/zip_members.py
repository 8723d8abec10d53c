"""The members of a zip, from its directory, or from front to back where that is missing.

PKWARE's APPNOTE 6.3.10, sections 4.3 to 4.5. The standard library's `zipfile` keeps an object of a
member (1 kB) and gives up on a zip that was cut off; here a member costs no memory, and what lies
before a cut is found. Tests hold both against each other.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from vitctl.ingest.parts import DamagedError

Kind = Literal["file", "folder", "link", "encrypted", "unreadable"]
Pread = Callable[[int, int], bytes]
"""(size, offset) -> bytes, fewer at the end of the file."""

LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")
_MOST_COMMENT = 2**16
_PIECE_BYTES = 2**16
_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF
STORED, DEFLATED = 0, 8
ENCRYPTED, DESCRIPTOR_FOLLOWS = 1, 8


@dataclass(frozen=True)
class ZipMember:
    """One member; `offset` is that of the header before its bytes."""

    name: bytes
    kind: Kind
    size: int
    offset: int


def is_zip(head: bytes, path: bytes = b"") -> bool:
    return head.startswith((b"PK\3\4", b"PK\5\6", b"PK\6\6"))


def is_zip_file(path: bytes) -> bool:
    """Whether a file begins as a zip does. Raises OSError."""
    with open(path, "rb") as file:
        return is_zip(file.read(4), path)


def members(pread: Pread, size: int) -> Iterator[ZipMember]:
    """The members of a zip of `size` bytes. Raises `DamagedError` after the last whole one."""
    end = _end_record(pread, size)
    if end is None:
        yield from _from_the_front(pread, size)
        raise DamagedError(size, "the directory at the end is missing, so it was cut off")
    count, directory_bytes, directory, shift = end
    at = directory + shift
    last = at + directory_bytes
    for _ in range(count):
        header = pread(_CENTRAL.size, at)
        if len(header) < _CENTRAL.size or header[:4] != b"PK\1\2" or at >= last:
            raise DamagedError(at, "the directory breaks off or is garbled")
        fields = _CENTRAL.unpack(header)
        flags, method, (packed, size_) = fields[3], fields[4], fields[8:10]
        name_bytes, extra_bytes, comment_bytes = fields[10:13]
        attributes, offset = fields[15], fields[16]
        names = pread(name_bytes + extra_bytes, at + _CENTRAL.size)
        name, extra = names[:name_bytes], names[name_bytes:]
        if _FULL_32 in (packed, size_, offset):
            size_, packed, offset = _zip64(extra, size_, packed, offset, at=at)
        if offset + shift + LOCAL.size > size or size_ >= 2**62:
            raise DamagedError(at, "the directory claims what the file is too short for")
        yield ZipMember(
            _clean(name),
            _kind(name, flags=flags, method=method, attributes=attributes),
            size_,
            offset + shift,
        )
        at += _CENTRAL.size + name_bytes + extra_bytes + comment_bytes


def _end_record(pread: Pread, size: int) -> tuple[int, int, int, int] | None:
    """(members, bytes of the directory, its offset, bytes before the zip); None if there is no
    end."""
    first = max(0, size - _END.size - _MOST_COMMENT)
    tail = pread(size - first, first)
    position = tail.rfind(b"PK\5\6")
    if position < 0 or len(tail) - position < _END.size:
        return None
    at = first + position
    _, disk, _, _, count, directory_bytes, directory, _ = _END.unpack_from(tail, position)
    if _FULL_16 in (count, disk) or _FULL_32 in (directory_bytes, directory):
        locator = pread(_LOCATOR_64.size, at - _LOCATOR_64.size) if at >= _LOCATOR_64.size else b""
        if len(locator) == _LOCATOR_64.size and locator[:4] == b"PK\6\7":
            where = _LOCATOR_64.unpack(locator)[2]
            record = pread(_END_64.size, where) if where < size else b""
            if len(record) < _END_64.size or record[:4] != b"PK\6\6":
                return None
            count, directory_bytes, directory = _END_64.unpack(record)[7:10]
            at = where
    shift = at - directory_bytes - directory
    if shift < 0 or directory_bytes > size:
        return None
    return count, directory_bytes, directory, shift


def _zip64(extra: bytes, size: int, packed: int, offset: int, *, at: int) -> tuple[int, int, int]:
    """The three numbers, with those that did not fit from the extra field 1."""
    while len(extra) >= 4:
        tag, length = struct.unpack_from("<2H", extra)
        data, extra = extra[4 : 4 + length], extra[4 + length :]
        if tag != 1:
            continue
        values = iter(struct.unpack(f"<{len(data) // 8}Q", data[: len(data) // 8 * 8]))
        try:
            return (
                next(values) if size == _FULL_32 else size,
                next(values) if packed == _FULL_32 else packed,
                next(values) if offset == _FULL_32 else offset,
            )
        except StopIteration:
            break
    if size == _FULL_32 or offset == _FULL_32:
        raise DamagedError(at, "the directory leaves a size out")
    return size, packed, offset


def _from_the_front(pread: Pread, size: int) -> Iterator[ZipMember]:
    """Members that are whole, by their local headers."""
    at = 0
    while True:
        header = pread(LOCAL.size, at)
        if len(header) < LOCAL.size or header[:4] != b"PK\3\4":
            return
        _, _, flags, method, _, _, _, packed, size_, name_bytes, extra_bytes = LOCAL.unpack(header)
        names = pread(name_bytes + extra_bytes, at + LOCAL.size)
        name, extra = names[:name_bytes], names[name_bytes:]
        begin = at + LOCAL.size + name_bytes + extra_bytes
        if _FULL_32 in (packed, size_):
            try:
                size_, packed, _ = _zip64(extra, size_, packed, 0, at=at)
            except DamagedError:
                return
        if flags & DESCRIPTOR_FOLLOWS and not packed:
            inflated = _inflated(pread, begin) if method == DEFLATED else None
            if inflated is None:
                return  # nothing says where it ends
            size_, packed = inflated
            descriptor = pread(4, begin + packed)
            following = 16 if descriptor == b"PK\7\x08" else 12
        else:
            following = 0
        if begin + packed > size:
            return
        kind = _kind(name, flags=flags, method=method, attributes=0)
        yield ZipMember(_clean(name), kind, size_, at)
        at = begin + packed + following


def _inflated(pread: Pread, at: int) -> tuple[int, int] | None:
    """(bytes that a deflated member has, bytes that it takes); None if it does not end."""
    decoder = zlib.decompressobj(-zlib.MAX_WBITS)
    begin, size = at, 0
    try:
        while not decoder.eof:
            data = decoder.unconsumed_tail
            if not data:
                data = pread(_PIECE_BYTES, at)
                at += len(data)
                if not data:
                    return None
            size += len(decoder.decompress(data, _PIECE_BYTES))
    except zlib.error:
        return None
    return size, at - begin - len(decoder.unused_data)


def _kind(name: bytes, *, flags: int, method: int, attributes: int) -> Kind:
    if name.endswith((b"/", b"\\")):
        return "folder"
    if stat.S_ISLNK(attributes >> 16):
        return "link"
    if flags & ENCRYPTED:
        return "encrypted"
    return "file" if method in (STORED, DEFLATED) else "unreadable"


def _clean(name: bytes) -> bytes:
    """In UTF-8 with forward slashes. Without a flag the standard says code page 437; many write
    UTF-8 all the same, and Windows backslashes."""
    try:
        name.decode()
    except UnicodeDecodeError:  # damaged, if it is flagged as UTF-8
        name = name.decode("cp437").encode()
    return name if b"/" in name else name.replace(b"\\", b"/")
