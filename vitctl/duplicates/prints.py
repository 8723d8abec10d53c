"""What is compared of an image, made of its encoded bytes by Pillow, which makes the same pixels of
a dataset's images as training does (docs/decisions/0017)."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vitctl.duplicates import hashes
from vitctl.pixels.training_pixels import pixels

PRINT = np.dtype(
    [
        ("bytes", "<u8", (2,)),
        ("pixels", "<u8", (2,)),
        ("looks", "<u8", (len(hashes.PARTS),)),
        ("readable", "?"),
        ("flat", "?"),
    ]
)
"""Of an image.

bytes     128 bits of BLAKE2b of its encoded bytes
pixels    the same of its size and its decoded RGB pixels, 0 where it can't be decoded
looks     `hashes.hashes`, 0 where it can't be decoded
readable  whether it can be decoded
flat      whether there is nothing to compare but bytes and pixels
"""

Prints = NDArray[np.void]

Compared = tuple[bytes, NDArray[np.uint8]]
"""The digest of an image's pixels, and its grey picture."""
Mapping = Callable[[Callable[[bytes], Compared | None], Sequence[bytes]], Iterable[Compared | None]]
"""Calls a function on each of several images, in order, as `map` does."""

_OF_8_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
"""Modes that Pillow makes the RGB of that training sees. Of 16 bits it clips all above 255 to white
instead of taking the high ones."""


def prints(images: Sequence[bytes], *, mapping: Mapping = map) -> Prints:
    """PRINT[n] of encoded images. `mapping` decodes them: that of a pool of threads does so at the
    same time, as Pillow and hashlib work without Python's lock."""
    out = np.zeros(len(images), PRINT)
    pictures = np.zeros((len(images), hashes.SIDE, hashes.SIDE), np.uint8)
    for row, (image, of_image) in enumerate(zip(images, mapping(_compared, images), strict=True)):
        out[row]["bytes"] = _as_numbers(blake2b(image, digest_size=16).digest())
        if of_image is not None:
            digest, pictures[row] = of_image
            out[row]["pixels"] = _as_numbers(digest)
            out[row]["readable"] = True
    out["looks"] = hashes.hashes(pictures)
    out["looks"][~out["readable"]] = 0
    out["flat"] = hashes.is_flat(pictures)
    return out


def grey(image: Image.Image) -> NDArray[np.uint8]:
    """uint8[64, 64]: the luma (ITU-R 601) of an RGB image, averaged."""
    small = image.convert("L").resize((hashes.SIDE, hashes.SIDE), Image.Resampling.BILINEAR)
    return np.asarray(small)


def decoded(data: bytes) -> Image.Image | None:
    """An image in RGB, as training sees it; None if it can't be decoded."""
    try:
        with Image.open(io.BytesIO(data)) as opened:
            if opened.mode in _OF_8_BITS:
                return opened.convert("RGB")
            largest = opened.width * opened.height
        return Image.fromarray(pixels(data, max_pixels=largest))
    except Exception:  # Pillow raises what its decoders do: OSError, SyntaxError, struct.error, ...
        return None


def _compared(data: bytes) -> Compared | None:
    """None if it can't be decoded."""
    image = decoded(data)
    if image is None:
        return None
    digest = blake2b(b"%d %d " % image.size, digest_size=16)
    digest.update(image.tobytes())
    return digest.digest(), grey(image)


def _as_numbers(digest: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(digest, "<u8")
