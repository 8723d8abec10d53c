"""The pixels that a model trained on, of a file, without TensorFlow.

`shard` stores a file whose bytes Pillow and TensorFlow decode to the same pixels, and of each other
file Pillow's pixels as PNG (`convert.py`). So Pillow alone knows what training, and `evaluate` on a
dataset of the file, would see. `tests/ingest/pixels/test_training_pixels.py` compares this with
what `shard` stores and TensorFlow decodes, over all formats.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vitctl.pixels.convert import seen_in_training
from vitctl.pixels.header import BadImageError, read_header
from vitctl.pixels.png_damage import damage


def pixels(data: bytes, *, max_pixels: int) -> NDArray[np.uint8]:
    """uint8[h, w, 3] of an encoded image. Raises `BadImageError` with the reason if it has none.

    A JPEG that TensorFlow decodes and Pillow doesn't is refused, which `shard` would store; none
    is known.
    """
    header = read_header(data, max_pixels=max_pixels)
    # Pillow looks at no checksum of pixels.
    if header.format == "PNG" and (damaged := damage(data)) is not None:
        raise BadImageError(f"it is damaged ({damaged}); copy or download it again")
    return np.asarray(seen_in_training(data, header).convert("RGB"))
