"""What is done with an image at shard time: stored as it is, or as 8-bit PNG, and why.

An image is stored byte for byte if TensorFlow, which decodes it in training, and the decoders that
other readers of the dataset use (Pillow and OpenCV, as TensorFlow Datasets calls them) all make the
same red, green and blue of it. That is so for JPEG (grey and RGB), 8-bit PNG without transparency,
opaque still WebP and 24-bit BMP; `tests/ingest/pixels/test_convert.py` holds the table, and
docs/guide/images.md says it in words. Two kinds of reason make a PNG of an image:

- TensorFlow gets it wrong, or can't decode it at all (`training_reason`);
- training would be right, another reader wouldn't (`other_readers_reason`). These bytes can be
  kept on request.

What the file says about its pixels is obeyed: orientation, bits of a sample, whether zero is black
or white. Transparency is dropped, not blended, in both ways: an RGBA PNG is decoded to its RGB
values. Colour profiles are not applied, as no decoder in training applies them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from vitctl.pixels.header import BadImageError, Header, open_image
from vitctl.pixels.orientation import UPRIGHT, bare_png
from vitctl.pixels.pnm import read_pnm
from vitctl.text.quoting import one_line

# Single-channel modes of more than 8 bits whose range is known; those whose range is not.
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
_NO_RANGE = {"F": "floating point numbers", "I": "32-bit or signed numbers"}
# TIFF 6.0, table of tag 274: which turn makes it upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def training_reason(header: Header) -> str | None:
    """Why TensorFlow would get this image wrong; None when it decodes it as it should."""
    if header.format not in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):
        return f"{header.format} is not decoded in training"
    if header.orientation != UPRIGHT:
        return "turned upright (EXIF or XMP)"
    if header.animated and header.format != "PNG":
        return "animation (first frame kept)"
    if header.format == "WEBP" and header.mode != "RGB":
        return "WebP with transparency"
    if header.format == "GIF" and header.transparency:
        return "GIF with transparency"
    if header.format == "BMP" and not header.plain_bmp:
        return "BMP other than 24-bit"
    # All else takes it for Adobe's polarity then, TensorFlow for the opposite.
    if header.format == "JPEG" and header.mode == "CMYK" and not header.adobe:
        return "CMYK JPEG without Adobe's marker"
    return None


def other_readers_reason(header: Header) -> str | None:
    """Why a reader with Pillow or OpenCV would see other pixels, or another number of channels,
    than training does; None when all agree. Of an image without a `training_reason`."""
    if header.format == "JPEG" and header.mode not in ("L", "RGB"):
        return f"{header.mode} JPEG"
    if header.format == "GIF":
        return "GIF"  # its palette is read as numbers
    if header.format == "PNG":
        if header.bits == 16:
            return "16-bit PNG"
        if header.mode == "P":
            return "PNG with a palette"
        if header.mode == "1":
            return "1-bit PNG"
        if header.mode in ("LA", "RGBA") or header.transparency:
            return "PNG with transparency"
    return None


def convert_to_png(data: bytes, header: Header) -> bytes:
    """The image as training should see it, losslessly; see `seen_in_training`."""
    return encode_png(seen_in_training(data, header))


def seen_in_training(data: bytes, header: Header) -> Image.Image:
    """The image as training should see it, upright, 8-bit grey or RGB, first frame.

    The header is that of `data`, checked before. Raises `BadImageError` when it can't be decoded.
    """
    with decoding():
        return _decoded(data, header)


@contextmanager
def decoding() -> Iterator[None]:
    """Pillow's decoders raise whatever the bytes make them raise: here that is `BadImageError`."""
    try:
        yield
    except BadImageError:
        raise
    except Exception as error:
        raise BadImageError(f"it can't be decoded ({one_line(error)})") from error


def _decoded(data: bytes, header: Header) -> Image.Image:
    if header.format == "PPM" and (values := read_pnm(data)) is not None:
        return Image.fromarray(values)
    with open_image(bare_png(data) if header.format == "PNG" else data) as opened:
        opened.load()
        image = eight_bit(opened, header)
    return upright(image, header)


def upright(image: Image.Image, header: Header) -> Image.Image:
    """A decoded image as its metadata says that it is held."""
    # Pillow turns a TIFF while it loads it.
    if header.format != "TIFF" and header.orientation in _TURNS:
        return image.transpose(_TURNS[header.orientation])
    return image


def eight_bit(image: Image.Image, header: Header) -> Image.Image:
    """A decoded image as 8-bit grey or RGB, without its transparency."""
    if image.mode in _NO_RANGE:
        raise BadImageError(
            f"its pixels are {_NO_RANGE[image.mode]} without a known range of brightness; "
            "write them as 8 or 16 bits"
        )
    if image.mode in _SIXTEEN_BIT:
        return Image.fromarray(_high_bits(np.asarray(image).astype(np.uint16), header))
    if image.mode in ("1", "L", "LA"):
        return image.convert("L")
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        turned = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert turned is not None
        return turned
    if image.mode in ("RGBa", "La"):
        image = image.convert("RGBA")
    return image.convert("RGB")


def _high_bits(values: NDArray[np.uint16], header: Header) -> NDArray[np.uint8]:
    """The eight high bits of each sample, which is what TensorFlow makes of a 16-bit PNG; where
    zero is white, of what the sample lacks to black."""
    eight_bit = (values >> max(0, header.bits - 8)).astype(np.uint8)
    # Pillow leaves the polarity of samples of more than 8 bits as it is.
    return 255 - eight_bit if header.white_is_zero else eight_bit


def encode_png(image: Image.Image) -> bytes:
    """Without loss."""
    out = io.BytesIO()
    # Without the colour profile and other metadata of the original: no decoder here applies them.
    image.info = {}
    image.save(out, "PNG")
    return out.getvalue()
