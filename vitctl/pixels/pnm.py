"""PGM and PPM whose brightest value is not 255, by their specification (netpbm).

Pillow reads them pixel by pixel in Python, and 16-bit grey as numbers without a range.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from vitctl.pixels.header import BadImageError

_CHANNELS = {b"P2": 1, b"P3": 3, b"P5": 1, b"P6": 3}
# Magic number, width, height, brightest value, one blank; comments run to the end of their line.
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_HEADER = re.compile(rb"(P[2356])" + (_GAP + rb"(\d{1,10})") * 3 + rb"(?:#[^\r\n]*[\r\n]|\s)")


def read_pnm(data: bytes) -> NDArray[np.uint8] | None:
    """uint8[h, w] or uint8[h, w, 3]: round(value * 255 / brightest). None where the values are
    bytes already, or the file is of another kind. Raises `BadImageError` when it is cut short."""
    match = _HEADER.match(data)
    if match is None:
        return None
    magic = match[1]
    width, height, brightest = (int(number) for number in match.groups()[1:])
    if brightest == 255 or not 0 < brightest < 65536:
        return None
    channels = _CHANNELS[magic]
    count = width * height * channels
    values: NDArray[np.integer]
    if magic in (b"P5", b"P6"):
        kind = np.dtype(">u2" if brightest > 255 else "u1")
        if len(data) - match.end() < count * kind.itemsize:
            raise BadImageError("it can't be decoded (it ends too early)")
        values = np.frombuffer(data, kind, count, match.end())
    else:
        text = re.sub(rb"#[^\r\n]*", b"", data[match.end() :])
        try:
            values = np.array(text.split(None, count)[:count], np.int64)
        except (ValueError, OverflowError):
            raise BadImageError("it can't be decoded (it has values that are no numbers)") from None
        if len(values) < count:
            raise BadImageError("it can't be decoded (it ends too early)")
    # One entry for each value there can be: exact, and without a float for every pixel.
    table = np.rint(np.arange(brightest + 1) * 255 / brightest).astype(np.uint8)
    eight_bit = table[np.clip(values, 0, brightest)]
    return eight_bit.reshape((height, width, 3) if channels == 3 else (height, width))
