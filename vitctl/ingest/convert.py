"""What to do with an image at shard time: pass it through, or convert it to PNG and say why.

Bytes pass through untouched unless TensorFlow, which decodes them in training, gets them wrong.
Measured with TensorFlow 2.21 against Pillow 13: JPEG (grey, RGB, CMYK), every kind of PNG, opaque
still WebP, opaque GIF and 24-bit BMP agree; the rest raises or comes out wrong.
`tests/data/test_convert.py` holds the table.

Transparency is dropped, not blended: an RGBA PNG that passes through is decoded to its RGB
values, so converted images follow the same rule.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, ImageOps

from vitctl.data.header import BadImageError, Header, one_line

# Single-channel modes of more than 8 bits whose range is known.
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
_NO_RANGE = ("F", "I")


def conversion_reason(header: Header) -> str | None:
    """Why TensorFlow would get this image wrong; None when it decodes it as it should."""
    if header.format not in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):
        return f"{header.format} is not decoded in training"
    if header.orientation != 1:
        return "EXIF rotation"
    if header.animated and header.format != "PNG":
        return "animation (first frame kept)"
    if header.format == "WEBP" and header.mode != "RGB":
        return "WebP with transparency"
    if header.format == "GIF" and header.transparency:
        return "GIF with transparency"
    if header.format == "BMP" and not header.plain_bmp:
        return "BMP other than 24-bit"
    return None


def convert_to_png(data: bytes) -> bytes:
    """The image as training should see it, upright, 8-bit grey or RGB, first frame, losslessly.

    The header has been checked before. Raises `BadImageError` when Pillow can't decode it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                upright = ImageOps.exif_transpose(image)
                return _encode_png(_eight_bit(upright))
    except BadImageError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever the bytes make them raise
        raise BadImageError(f"it can't be decoded ({one_line(error)})") from error


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode in _NO_RANGE:
        raise BadImageError(f"its pixels (mode {image.mode}) have no known range of brightness")
    if image.mode in _SIXTEEN_BIT:
        # The high byte, which is what TensorFlow makes of a 16-bit PNG.
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode in ("1", "L", "LA"):
        return image.convert("L")
    if image.mode in ("RGBa", "La"):
        image = image.convert("RGBA")
    return image.convert("RGB")


def _encode_png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    # Without the colour profile and other metadata of the original: no decoder here applies them.
    image.info = {}
    image.save(out, "PNG")
    return out.getvalue()
