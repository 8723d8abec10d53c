"""What an image is, from its header alone: no pixel is decoded here.

Everything that decides an image's fate (store as it is, convert, reject) is known before a decoder
sees it, so a decompression bomb costs a few microseconds and never memory.
"""

from __future__ import annotations

import io
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from vitctl.pixels.file_kinds import HEAD_BYTES, FileKind, Package, is_heif, kind_of
from vitctl.pixels.orientation import bare_png, orientation
from vitctl.text.quoting import one_line

Format = Literal["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "AVIF", "PPM", "HEIF"]

_PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "AVIF", "PPM")
_AVIF_HEAD = b"\0\0\0\x10ftypavif"
Cause = Literal["bytes", "access"] | Package
# Tags of TIFF 6.0, and of DNG 1.4.
_BITS, _PHOTOMETRIC, _DNG_VERSION = 258, 262, 50706
_WHITE_IS_ZERO = 0
# Pillow skips what it does not know in a header byte by byte or piece by piece, 400 MiB of zeros
# for minutes (2026-11-30). Pixels may take more: a BMP in runs takes two for each run.
_MOST_READS = 2**21


class BadImageError(Exception):
    """This image cannot be used; the text is the reason, fit for a reject list.

    Attributes:
      cause: what has to change before it can: the bytes of the file, the access to it, or a package
        that is not installed.
    """

    def __init__(self, reason: str, *, cause: Cause = "bytes") -> None:
        super().__init__(reason)
        self.cause: Cause = cause


@dataclass(frozen=True)
class Header:
    """What an image says of itself."""

    format: Format
    width: int
    height: int
    mode: str
    """Pillow's name of the pixel format: "RGB", "L", "P", "I;16", "CMYK", ..."""
    bits: int
    """Of a sample: 1 to 16."""
    white_is_zero: bool
    """Grey values that count darkness (TIFF)."""
    animated: bool
    orientation: int
    """1 (upright) to 8, from EXIF or XMP."""
    transparency: bool
    """A palette entry or colour is declared transparent (GIF, PNG)."""
    adobe: bool
    """A JPEG with Adobe's marker, which says that CMYK counts brightness, not ink."""
    plain_bmp: bool
    """A 24-bit uncompressed BMP, the one kind every decoder agrees on."""
    profile: bytes = b""
    """The colour profile (ICC) that the file holds, empty if there is none."""


def check_head(head: bytes, size: int, *, max_pixels: int) -> None:
    """Look at a file before it is read whole: its first `HEAD_BYTES`, and how long it is.

    Raises `BadImageError` for what is no image, or is longer than any image of `max_pixels`.
    """
    if not size:
        raise BadImageError("the file is empty")
    if not _may_be_image(head):
        raise _unknown(head)
    if size > (limit := largest_file(max_pixels)):
        raise BadImageError(
            f"the file has {size / 2**20:,.0f} MiB, more than an image of {max_pixels:,} pixels "
            f"needs ({limit / 2**20:,.0f} MiB)"
        )


def largest_file(max_pixels: int) -> int:
    """Bytes of an image of so many pixels, at most: 16 bits for red, green, blue and alpha,
    uncompressed, and room for metadata."""
    return 8 * max_pixels + 64 * 2**20


def read_header(data: bytes, *, max_pixels: int) -> Header:
    """Look at an encoded image. Raises `BadImageError` when it can't be used."""
    check_head(data[:HEAD_BYTES], len(data), max_pixels=max_pixels)
    if (size := _webp_canvas(data)) is not None:
        # Pillow allocates the canvas of a WebP while it opens it, so this one is measured first.
        _check_pixels(*size, max_pixels=max_pixels)
    try:
        with open_image(data) as image:
            _check_pixels(*image.size, max_pixels=max_pixels)
            return _describe(image, data)
    except BadImageError:
        raise
    except Image.UnidentifiedImageError:
        raise _unknown(data) from None
    except Exception as error:  # Pillow's parsers raise whatever the bytes make them raise
        raise BadImageError(f"its header can't be read ({one_line(error)})") from error


class _WithoutLimits:
    """Pillow's limit of pixels and its warnings belong to the process: the first thread that opens
    an image takes them away, and the last one that is done with its image puts them back."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._open = 0
        self._before = ExitStack()

    def __enter__(self) -> None:
        with self._changing:
            if not self._open:
                limit = Image.MAX_IMAGE_PIXELS
                self._before.callback(setattr, Image, "MAX_IMAGE_PIXELS", limit)
                self._before.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")
                Image.MAX_IMAGE_PIXELS = None
            self._open += 1

    def __exit__(self, *error: object) -> None:
        with self._changing:
            self._open -= 1
            if not self._open:
                self._before.close()


_PILLOW = _WithoutLimits()


@contextmanager
def open_image(data: bytes) -> Iterator[Image.Image]:
    """Pillow's image, not decoded yet. Our pixel limit takes the place of Pillow's, and its
    warnings are ours to report."""
    formats = ("HEIF",) if is_heif(data) and _heif_reader() else _readable_formats()
    with _PILLOW, _open(data, formats) as image:
        yield image


class _Pieces(io.BytesIO):
    """The bytes of an image, of whose header a reader takes so many pieces at most."""

    reads = 0
    in_header = True

    def read(self, size: int | None = -1, /) -> bytes:
        if self.in_header:
            self.reads += 1
            if self.reads > _MOST_READS:
                raise BadImageError(
                    f"its header has more than {_MOST_READS:,} pieces, as that of no image has"
                )
        return super().read(size)


def _open(data: bytes, formats: tuple[str, ...]) -> Image.Image:
    try:
        return _header_read(data, formats)
    except (Image.UnidentifiedImageError, BadImageError):
        raise
    except Exception:  # metadata, perhaps; without it, if it is a PNG
        if not data.startswith(b"\x89PNG"):
            raise
        return _header_read(bare_png(data), formats)


def _header_read(data: bytes, formats: tuple[str, ...]) -> Image.Image:
    pieces = _Pieces(data)
    image = Image.open(pieces, formats=formats)
    pieces.in_header = False
    return image


def is_installed(package: Package) -> bool:
    """Whether images can be read of which it was said that this package reads them."""
    return _heif_reader() if package == "pillow_heif" else _accepts("AVIF", _AVIF_HEAD)


def _readable_formats() -> tuple[str, ...]:
    """Those of `_PILLOW_FORMATS` that this Pillow has heard of: AVIF came with 11.3."""
    Image.init()  # Pillow knows no format before, and nothing that ran earlier has to have asked
    return tuple(format_ for format_ in _PILLOW_FORMATS if format_ in Image.OPEN)


def _heif_reader() -> bool:
    """Whether Pillow can open HEIC: by an optional package."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _may_be_image(head: bytes) -> bool:
    """Whether any decoder would try. These are Pillow's own conditions."""
    if is_heif(head):
        return _heif_reader()
    return any(_accepts(format_, head) for format_ in _readable_formats())


def _accepts(format_: str, head: bytes) -> bool:
    Image.init()
    accepts = Image.OPEN.get(format_, (None, None))[1]
    # Instead of True it may say what is not installed.
    return accepts is not None and accepts(head[:16]) is True


def _unknown(data: bytes) -> BadImageError:
    """What the bytes are instead of an image, and how to read them if there is a way."""
    for format_ in _readable_formats():
        if _accepts(format_, data) and kind_of(data[:HEAD_BYTES]) is None:
            try:
                Image.OPEN[format_][0](io.BytesIO(data), "")
            except Exception as error:  # Pillow's own words, which `Image.open` keeps to itself
                return BadImageError(f"its {format_} header can't be read ({one_line(error)})")
    kind = kind_of(data[:HEAD_BYTES]) or FileKind("not an image of a known format")
    if kind.package is not None and is_installed(kind.package):
        return BadImageError(f"it is {kind.name} that is damaged; copy or download it again")
    advice = f"; {kind.advice}" if kind.advice else ""
    return BadImageError(f"it is {kind.name}{advice}", cause=kind.package or "bytes")


def _describe(image: Image.Image, data: bytes) -> Header:
    # A JPEG with further pictures inside (phones write them) is a JPEG to every decoder.
    format_ = "JPEG" if image.format == "MPO" else image.format
    animated = format_ != "JPEG" and bool(getattr(image, "is_animated", False))
    bits, white_is_zero = _samples(image, data)
    return Header(
        format=format_,  # type: ignore[arg-type]
        width=image.width,
        height=image.height,
        mode=image.mode,
        bits=bits,
        white_is_zero=white_is_zero,
        animated=animated,
        orientation=orientation(image, data),
        transparency="transparency" in image.info,
        adobe="adobe" in image.info,
        plain_bmp=format_ == "BMP" and _is_plain_bmp(data),
        profile=image.info.get("icc_profile") or b"",
    )


def _samples(image: Image.Image, data: bytes) -> tuple[int, bool]:
    """(bits of a sample, whether zero is white)."""
    if image.format == "PNG":
        return data[24], False  # IHDR: length, type, width, height, depth
    if image.format != "TIFF":
        return 16 if image.mode.startswith("I;16") else 8, False
    tags = image.tag_v2  # type: ignore[attr-defined]
    if _DNG_VERSION in tags:
        raise BadImageError("it is a camera raw (DNG); develop it to JPEG or PNG")
    bits = tags.get(_BITS, (1,))
    return max(bits), tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO


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
