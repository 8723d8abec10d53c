"""Images side by side with a caption each, as one PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from vitctl.pixels.picture_mark import SOFTWARE, mark

MADE_BY = mark("replay")
"""The text in such a picture, whichever command made it: it is never a source of a dataset."""

_SMALLEST = 72
"""Sides below are enlarged, by whole factors so that pixels stay pixels: a caption needs room."""
_NOT_FINITE = (255, 0, 255)
_FONT = 11
_GAP = 6
_LINE = 14


def thumbnail(image: Image.Image, *, side: int) -> NDArray[np.float32]:
    """A decoded image, whole and in its proportions, in a grey square: float32[side, side, 3] in
    [-1, 1]. Small ones are enlarged by whole factors."""
    square = Image.new("RGB", (side, side), "lightgrey")
    factor = side // max(image.size)
    if factor:
        size = (image.width * factor, image.height * factor)
        image = image.resize(size, Image.Resampling.NEAREST)
    else:
        image = image.copy()
        image.thumbnail((side, side))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return np.asarray(square, np.float32) / np.float32(127.5) - 1


def sheet(images: NDArray[np.float32], captions: Sequence[Sequence[str]]) -> bytes:
    """float32[n, h, w, 3] in [-1, 1], lines of text for each -> a PNG, about as wide as high.

    A pixel that is not finite is magenta.
    """
    n, height, width, _ = images.shape
    factor = max(1, math.ceil(_SMALLEST / width))
    lines = max((len(caption) for caption in captions), default=0)
    cell_w, cell_h = width * factor + _GAP, height * factor + lines * _LINE + _GAP
    columns = max(1, round(math.sqrt(n * cell_h / cell_w)))
    rows = -(-n // columns)
    page = Image.new("RGB", (columns * cell_w + _GAP, rows * cell_h + _GAP), "white")
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(_FONT)
    finite = np.isfinite(images).all(axis=-1, keepdims=True)
    shown = np.where(finite, np.rint((images + 1) * 127.5), _NOT_FINITE)
    pixels = np.clip(shown, 0, 255).astype(np.uint8)
    for i, (image, caption) in enumerate(zip(pixels, captions, strict=True)):
        left, top = _GAP + i % columns * cell_w, _GAP + i // columns * cell_h
        picture = Image.fromarray(image)
        large = picture.resize((width * factor, height * factor), Image.Resampling.NEAREST)
        page.paste(large, (left, top))
        for line, text in enumerate(caption):
            at = (left, top + height * factor + line * _LINE)
            draw.text(at, _fitted(text, font, width * factor), fill="black", font=font)
    out = io.BytesIO()
    metadata = PngImagePlugin.PngInfo()
    metadata.add_text(SOFTWARE, MADE_BY)
    page.save(out, "PNG", pnginfo=metadata)
    return out.getvalue()


def _fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """`text`, cut with an ellipsis where it is wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
