"""The pixels that a model trained on, of a file, without TensorFlow.

`shard` stores a file whose bytes Pillow and TensorFlow decode to the same pixels, and of each other
file Pillow's pixels as PNG (`convert.py`). So Pillow alone knows what training, and `evaluate` on a
dataset of the file, would see. `tests/ingest/pixels/test_training_pixels.py` compares this with
what `shard` stores and TensorFlow decodes, over all formats.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from vitctl.pixels.convert import decoding, seen_in_training, training_reason
from vitctl.pixels.header import Header, open_image, read_header
from vitctl.pixels.jpeg_scans import lacks_scans
from vitctl.pixels.png_damage import check_png

_WITHOUT_LIMIT = sys.maxsize
"""Of the pixels of an image in a dataset: whoever made it set one."""


class DecodersDifferError(Exception):
    """Pillow may make other pixels of an image than TensorFlow; the text is the reason."""


def pixels(data: bytes, *, max_pixels: int) -> NDArray[np.uint8]:
    """uint8[h, w, 3] of an encoded image. Raises `BadImageError` with the reason if it has none.

    A JPEG that TensorFlow decodes and Pillow doesn't is refused, which `shard` would store; none
    is known.
    """
    return _pixels(data, read_header(data, max_pixels=max_pixels))


def stored_pixels(data: bytes) -> NDArray[np.uint8]:
    """uint8[h, w, 3] of an image as a dataset holds it. Raises `BadImageError` with the reason if
    it is damaged, `DecodersDifferError` for one that `shard` would not store as it is, or a JPEG
    without its last scans: training sees what TensorFlow makes of it all the same."""
    header = read_header(data, max_pixels=_WITHOUT_LIMIT)
    if (reason := training_reason(header)) is not None:
        raise DecodersDifferError(reason)
    if header.format == "JPEG" and lacks_scans(data):
        raise DecodersDifferError("progressive JPEG without all of its scans")
    if header.format == "JPEG" and header.mode == "CMYK":
        return _light(data)
    return _pixels(data, header)


def _light(data: bytes) -> NDArray[np.uint8]:
    """uint8[h, w, 3] of a CMYK JPEG whose bytes were kept: the light that ink and black leave,
    rounded down as TensorFlow does (jpeg_mem.cc), where Pillow rounds to the nearest."""
    with decoding(), open_image(data) as image:
        left = 255 - np.asarray(image).astype(np.uint16)
    return (left[..., :3] * left[..., 3:] // 255).astype(np.uint8)


def _pixels(data: bytes, header: Header) -> NDArray[np.uint8]:
    check_png(data, header)
    return np.asarray(seen_in_training(data, header).convert("RGB"))
