"""Which way up an image is, wherever its container says so.

EXIF (CIPA DC-008, tag 274) lies in JPEG, PNG, WebP, AVIF, JPEG 2000 and TIFF; ImageMagick hides it
in PNG as hexadecimal text; editors write XMP (ISO 16684) instead. EXIF wins where they disagree.
Metadata that can't be read says nothing: the image itself may be whole.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any

from PIL import Image

UPRIGHT = 1
_TAG = 0x0112
_XMP = re.compile(rb"\btiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])\b")
_XMP_TEXT = b"XML:com.adobe.xmp"
_RAW_PROFILES = (b"Raw profile type exif", b"Raw profile type APP1")
_RAW_XMP = b"Raw profile type xmp"
_END = b"\0\0\0\0IEND\xaeB`\x82"
_MAX_TEXT_BYTES = 16 * 2**20
"""Unpacked text of a PNG above is not looked into: a kilobyte may unpack to gigabytes."""


def orientation(image: Image.Image, data: bytes) -> int:
    """1 (upright) to 8, of an image opened but not decoded."""
    if image.format == "PNG":
        exif, xmp = _png_metadata(data)
        return _of_exif(exif) or _of_xmp(xmp) or UPRIGHT
    if image.format == "TIFF":
        own = _checked(image.tag_v2.get(_TAG))  # type: ignore[attr-defined]
    else:
        own = _of_exif(_as_bytes(image.info.get("exif")))
    return own or _of_xmp(_as_bytes(image.info.get("xmp"))) or UPRIGHT


def _of_exif(exif: bytes) -> int | None:
    if not exif:
        return None
    tags: Any = Image.Exif()
    try:
        tags.load(exif)
        return _checked(tags.get(_TAG))
    except Exception:  # as above
        return None


def _of_xmp(xmp: bytes) -> int | None:
    match = _XMP.search(xmp)
    return int(match[1]) if match else None


def _checked(value: Any) -> int | None:
    return value if isinstance(value, int) and 1 <= value <= 8 else None


def _as_bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    return value if isinstance(value, bytes) else b""


# PNG: Pillow would decode the pixels to find what lies behind them.


def png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """(type, content) of the chunks of a PNG, as far as it goes; checksums are not looked at."""
    view, at = memoryview(data), 8
    while at + 12 <= len(data):
        size = int.from_bytes(view[at : at + 4], "big")
        kind = bytes(view[at + 4 : at + 8])
        yield kind, view[at + 8 : at + 8 + size]
        if kind == b"IEND":
            return
        at += 12 + size


def bare_png(data: bytes) -> bytes:
    """A PNG without all that is not needed for its pixels: Pillow gives up on whole images over
    texts and profiles in them."""
    parts, at = [data[:8]], 8
    for kind, content in png_chunks(data):
        end = at + 12 + len(content)
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT"):
            parts.append(data[at:end])
        at = end
    parts.append(_END)
    return b"".join(parts)


def _png_metadata(data: bytes) -> tuple[bytes, bytes]:
    """(EXIF, XMP) of a PNG, each empty if there is none."""
    exif = raw_exif = xmp = b""
    for kind, content in png_chunks(data):
        if kind == b"eXIf":
            exif = exif or bytes(content)
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            keyword, _, rest = bytes(content).partition(b"\0")
            if keyword == _XMP_TEXT:
                xmp = xmp or _text(kind, rest)
            elif keyword in _RAW_PROFILES:
                profile = _raw_profile(_text(kind, rest))
                # APP1 may be either of the two.
                if profile.startswith(b"http://ns.adobe.com/xap"):
                    xmp = xmp or profile
                else:
                    raw_exif = raw_exif or profile
            elif keyword == _RAW_XMP:
                xmp = xmp or _raw_profile(_text(kind, rest))
    return exif or raw_exif, xmp


def _text(kind: bytes, rest: bytes) -> bytes:
    """The text of a chunk, `rest` being what follows its keyword (PNG, section 11.3.3)."""
    if kind == b"tEXt":
        return rest
    packed = kind == b"zTXt" or rest[:1] == b"\1"
    # zTXt: a method; iTXt: a flag, a method, and two texts that end with zero.
    body = rest[1:] if kind == b"zTXt" else b"".join(rest[2:].split(b"\0", 2)[2:])
    if not packed:
        return body
    try:
        return zlib.decompressobj().decompress(body, _MAX_TEXT_BYTES)
    except zlib.error:
        return b""


def _raw_profile(text: bytes) -> bytes:
    """ImageMagick's form: a name, a length and hexadecimal digits, a line each."""
    lines = text.split(b"\n", 3)
    try:
        return bytes.fromhex(lines[3].decode("ascii")) if len(lines) == 4 else b""
    except ValueError:
        return b""
