"""What a policy does to one image: decoded, in sRGB, on a background, upright, shrunk, encoded.

The pixels are those that training would see without a policy (`convert.seen_in_training`), and
transparency and colours are dealt with before these are reduced to 8-bit grey or RGB.
"""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass

from PIL import Image, ImageFile

from vitctl.ingest.pixels.colour_profile import UnusableProfileError, to_srgb
from vitctl.ingest.pixels.policy import DEFAULT_QUALITY, EncodedFormat, PixelPolicy, Treatment
from vitctl.ingest.pixels.transparency import laid_on, may_be_transparent, opacity
from vitctl.pixels.convert import (
    decoding,
    eight_bit,
    encode_png,
    other_readers_reason,
    training_reason,
    upright,
)
from vitctl.pixels.header import BadImageError, Header, open_image
from vitctl.pixels.orientation import UPRIGHT, bare_png
from vitctl.pixels.png_damage import check_png
from vitctl.pixels.pnm import read_pnm

_WITHOUT_LOSS = ("PNG", "GIF", "BMP", "TIFF", "PPM")
"""Formats whose images stay without loss when they are changed; others become JPEG."""
_ON_ITS_SIDE = (5, 6, 7, 8)
_AT_LEAST = 3
"""Sides of a JPEG that is decoded to be shrunk, over those of the result: 39 to 43 dB from
shrinking all of it, where JPEG of quality 95 loses 32 to 34 (docs/log/2026-11.md)."""
_LONGEST = {"jpeg": 65_500, "webp": 16_383, "png": 2**31 - 1}
"""Pixels of a side, by the libraries that write them."""
_JPEG_BLOCK = 16
"""Pixels of a side of what is coded at once, with colours at half resolution (ITU-T T.81, A.2)."""
_JPEG_BYTES_A_PIXEL = 3
"""At most. Black and white noise has 1.6 at quality 100."""
_BUFFER = threading.Lock()
"""Of whoever changes the buffer that Pillow allots, which belongs to the process."""


@dataclass(frozen=True)
class Treated:
    """An image as a policy has it. `done` is empty, and `image` None, where the policy has nothing
    to do. `own_bytes_do`: the file is of the wanted format already, and no larger than this, so its
    own bytes are better, if training reads them."""

    image: bytes | None
    done: tuple[Treatment, ...] = ()
    own_bytes_do: bool = False


def treat(data: bytes, header: Header, policy: PixelPolicy) -> Treated:
    """Do what `policy` says to an encoded image, whose header is `header`.

    Raises `BadImageError` when it can't be decoded.
    """
    on_background = policy.background is not None and may_be_transparent(header)
    with_profile = policy.srgb and bool(header.profile)
    size = policy.size(header.width, header.height)
    shrinks = size != (header.width, header.height)
    # Whether the bytes of the file could be stored as they are, whatever else is wanted.
    plain = not training_reason(header) and not other_readers_reason(header)
    in_format = plain and header.format.lower() == policy.encode
    format_stays = policy.encode is None or (in_format and policy.encode == "png")
    if format_stays and not (on_background or with_profile or shrinks):
        return Treated(None)
    check_png(data, header)
    with decoding():
        image, done = _changed(data, header, policy, size=size)
    changes = shrinks or bool(set(done) - {"profile ignored"})
    if format_stays and not changes:
        return Treated(None, done)
    if header.orientation != UPRIGHT:
        done = (*done, "turned")
    if shrinks:
        # Decoded at full size it has its true proportions, and a TIFF is turned by then.
        own_size = size[::-1] if header.orientation in _ON_ITS_SIDE else size
        if header.format != "JPEG":
            own_size = policy.size(*image.size)
        image = image.resize(own_size, Image.Resampling.LANCZOS)
        done = (*done, "shrunk")
    format_: EncodedFormat = policy.encode or ("png" if header.format in _WITHOUT_LOSS else "jpeg")
    encoded = _encoded(image, format_, quality=policy.quality)
    own_bytes_do = in_format and not changes and len(data) <= len(encoded)
    return Treated(encoded, (*done, "encoded"), own_bytes_do)


def _changed(
    data: bytes, header: Header, policy: PixelPolicy, *, size: tuple[int, int]
) -> tuple[Image.Image, tuple[Treatment, ...]]:
    """The image upright, 8-bit grey or RGB, on the background and in sRGB. A JPEG that is to have
    `size` may be smaller than it was already."""
    if header.format == "PPM" and (values := read_pnm(data)) is not None:
        return Image.fromarray(values), ()
    done: list[Treatment] = []
    with open_image(bare_png(data) if header.format == "PNG" else data) as opened:
        if header.format == "JPEG":
            # The decoder makes 1/2, 1/4 or 1/8 of a large photo, in a quarter of the time.
            opened.draft(None, (_AT_LEAST * size[0], _AT_LEAST * size[1]))
        opened.load()
        alpha = opacity(opened, header) if policy.background is not None else None
        image = eight_bit(opened, header)
        if policy.srgb and header.profile and opened.mode != "LAB":
            # A profile of inks is about the inks, not about what was made of them.
            inks_or_colours = opened if opened.mode == "CMYK" else image
            try:
                converted = to_srgb(inks_or_colours, header.profile)
            except UnusableProfileError:
                done.append("profile ignored")
            else:
                if converted is not None:
                    image = converted
                    done.append("to sRGB")
    if alpha is not None and policy.background is not None:
        image = laid_on(image, alpha, policy.background)
        done.insert(0, "composed")
    return upright(image, header), tuple(done)


def _encoded(image: Image.Image, format_: EncodedFormat, *, quality: int | None) -> bytes:
    if max(image.size) > _LONGEST[format_]:
        raise BadImageError(
            f"it is {image.width} x {image.height} pixels, and a side of a {format_} has at most "
            f"{_LONGEST[format_]:,}"
        )
    if format_ == "png":
        return encode_png(image)
    image.info = {}
    out = io.BytesIO()
    quality = quality or DEFAULT_QUALITY
    if format_ == "webp":
        image.convert("RGB").save(out, "WEBP", quality=quality)
    else:
        _write_jpeg(image, out, quality=quality)
    return out.getvalue()


def _write_jpeg(image: Image.Image, out: io.BytesIO, *, quality: int) -> None:
    # A JPEG with tables of its own is written in one piece, into a buffer of a byte or two a pixel
    # that Pillow allots: too little for noise, and for thin images, whose blocks are mostly padding
    width, height = (-(-side // _JPEG_BLOCK) * _JPEG_BLOCK for side in image.size)
    with _BUFFER:
        usual = ImageFile.MAXBLOCK
        ImageFile.MAXBLOCK = max(usual, _JPEG_BYTES_A_PIXEL * width * height)
        try:
            # Colours at half resolution, as cameras and img2dataset write them, at any quality.
            image.save(out, "JPEG", quality=quality, subsampling="4:2:0", optimize=True)
        finally:
            ImageFile.MAXBLOCK = usual
