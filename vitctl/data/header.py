"""What an image is, from its header alone: no pixel is decoded here.

Everything that decides an image's fate (pass through, convert, reject) is known before a decoder
sees it, so a decompression bomb costs a few microseconds and never memory.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from PIL import Image

Format = Literal["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "AVIF", "PPM"]

_PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "AVIF", "PPM")
_ORIENTATION_TAG = 0x0112  # EXIF 2.32, table 4


class BadImageError(Exception):
    """This image cannot be used; the text is the reason, fit for a reject list."""


@dataclass(frozen=True)
class Header:
    """What an image says of itself."""

    format: Format
    width: int
    height: int
    mode: str
    """Pillow's name of the pixel format: "RGB", "L", "P", "I;16", "CMYK", ..."""
    animated: bool
    orientation: int
    """EXIF orientation, 1 (upright) to 8."""
    transparency: bool
    """A palette entry or colour is declared transparent (GIF, PNG)."""
    plain_bmp: bool
    """A 24-bit uncompressed BMP, the one kind every decoder agrees on."""


def read_header(data: bytes, *, max_pixels: int) -> Header:
    """Look at an encoded image. Raises `BadImageError` when it can't be used."""
    if not data:
        raise BadImageError("the file is empty")
    if (size := _webp_canvas(data)) is not None:
        # Pillow allocates the canvas of a WebP while it opens it, so this one is measured first.
        _check_pixels(*size, max_pixels=max_pixels)
    try:
        with _quiet_pillow(), Image.open(io.BytesIO(data), formats=_PILLOW_FORMATS) as image:
            _check_pixels(*image.size, max_pixels=max_pixels)
            return _describe(image, data)
    except BadImageError:
        raise
    except Image.UnidentifiedImageError:
        raise BadImageError("it is not an image of a known format") from None
    except Exception as error:  # Pillow's parsers raise whatever the bytes make them raise
        raise BadImageError(f"its header can't be read ({one_line(error)})") from error


def _describe(image: Image.Image, data: bytes) -> Header:
    # A JPEG with further pictures inside (phones write them) is a JPEG to every decoder.
    format_ = "JPEG" if image.format == "MPO" else image.format
    animated = format_ != "JPEG" and bool(getattr(image, "is_animated", False))
    return Header(
        format=format_,  # type: ignore[arg-type]
        width=image.width,
        height=image.height,
        mode=image.mode,
        animated=animated,
        orientation=_orientation(image, data),
        transparency="transparency" in image.info,
        plain_bmp=format_ == "BMP" and _is_plain_bmp(data),
    )


def _orientation(image: Image.Image, data: bytes) -> int:
    # For a PNG without EXIF before its pixels Pillow would decode them to look behind.
    if image.format == "PNG" and "exif" not in image.info and b"eXIf" not in data:
        return 1
    value = image.getexif().get(_ORIENTATION_TAG, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _check_pixels(width: int, height: int, *, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise BadImageError(f"it is {width} x {height} pixels")
    if width * height > max_pixels:
        raise BadImageError(
            f"it is {width} x {height} pixels, more than the limit of {max_pixels:,}"
        )


def _is_plain_bmp(data: bytes) -> bool:
    """BITMAPINFOHEADER: biSize at 14, biBitCount at 28, biCompression at 30."""
    if len(data) < 54:
        return False
    header_bytes, _, _, _, bits, compression = struct.unpack_from("<IiiHHI", data, 14)
    return header_bytes >= 40 and bits == 24 and compression == 0


def _webp_canvas(data: bytes) -> tuple[int, int] | None:
    """Width and height of a WebP file (RFC 9649), None for anything else."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    chunk, body = data[12:16], data[20:30]
    if len(body) < 10:
        raise BadImageError("its header ends too early")
    if chunk == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if chunk == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    raise BadImageError("it is not a WebP image inside")


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Our pixel limit takes the place of Pillow's, and its warnings are ours to report."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def one_line(error: BaseException) -> str:
    """An exception's text on one line, short enough for a list."""
    return " ".join(str(error).split())[:200] or type(error).__name__
