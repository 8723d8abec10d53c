"""A picture as a file that loses nothing."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

_COMPRESS_LEVEL = 1  # 6, Pillow's default, takes four times as long for 5 % fewer bytes


def as_png(picture: NDArray[np.uint8]) -> bytes:
    """uint8[h, w, 3] encoded as PNG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=_COMPRESS_LEVEL)
    return file.getvalue()
