"""How images of a source are stored, as one value; and about how many bytes that takes, before any
of them is read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vitctl.ingest.pixels.policy import AS_IT_IS, PixelPolicy
from vitctl.pixels.header import largest_file

Compression = Literal["photo", "compact photo", "lossless"]
"""What an image's ending says of its bytes: a JPEG or WebP, what no decoder of training reads and
needs fewer bytes, or all pixels as they are."""

_COMPRESSIONS: tuple[Compression, ...] = ("photo", "compact photo", "lossless")
_BY_ENDING: dict[bytes, Compression] = {
    **dict.fromkeys((b"heic", b"heif", b"avif", b"jp2"), "compact photo"),
    **dict.fromkeys((b"png", b"apng", b"gif", b"bmp", b"tif", b"tiff"), "lossless"),
    **dict.fromkeys((b"pbm", b"pgm", b"ppm", b"pnm"), "lossless"),
}

# Bytes of the same pixels: docs/log/2026-11.md, "29: what a photo becomes as PNG".
_AS_PNG: dict[Compression, float] = {"photo": 6.0, "compact photo": 10.0, "lossless": 1.0}
_AS_PHOTO: dict[Compression, float] = {"photo": 1.0, "compact photo": 3.0, "lossless": 0.3}
_AS_IT_IS: dict[Compression, float] = {"photo": 1.0, "compact photo": 10.0, "lossless": 1.0}
_PNG_BYTES_A_PIXEL = 1.7
_PHOTO_BYTES_A_PIXEL = 0.5
"""JPEG of quality 95."""


@dataclass(frozen=True)
class ImageStorage:
    """What becomes of the bytes of an image.

    Attributes:
      max_pixels: larger images are rejected before they are decoded.
      keep_bytes: store files byte for byte that training decodes as it should, whatever other
        readers make of them.
      policy: what is done to pixels first.
    """

    max_pixels: int
    keep_bytes: bool = False
    policy: PixelPolicy = AS_IT_IS

    @property
    def largest_file(self) -> int:
        """Files of more bytes hold no image of so many pixels."""
        return largest_file(self.max_pixels)

    def expected_bytes(
        self, sizes: NDArray[np.int64], compressions: NDArray[np.int8]
    ) -> NDArray[np.int64]:
        """int64[n]: about how many bytes are stored of files of `sizes` bytes, whose `compressions`
        are as `compressions_of` has them. Nothing is stored of files above `largest_file`."""
        encode = self.policy.encode
        factors = (
            _AS_IT_IS if encode is None else _AS_PNG if encode == "png" else _AS_PHOTO
        )  # by what the files are now
        table = np.array([factors[compression] for compression in _COMPRESSIONS])
        usable = np.where(sizes <= self.largest_file, sizes, 0)
        expected = usable * table[compressions]
        side = self.policy.max_side or self.policy.max_short_side
        if side is not None:
            stays_png = np.array([encode is None and c == "lossless" for c in _COMPRESSIONS])
            as_png = stays_png[compressions] | (encode == "png")
            a_pixel = np.where(as_png, _PNG_BYTES_A_PIXEL, _PHOTO_BYTES_A_PIXEL)
            expected = np.minimum(expected, np.maximum(1, a_pixel * side * side))
        return np.rint(expected).astype(np.int64)


def compressions_of(names: Iterable[bytes], *, count: int) -> NDArray[np.int8]:
    """int8[count]: what the ending of each name says, as a place in `Compression`; without one that
    is known, a photo."""
    places = {ending: _COMPRESSIONS.index(kind) for ending, kind in _BY_ENDING.items()}
    photo = _COMPRESSIONS.index("photo")
    return np.fromiter(
        (places.get(name[-5:].rpartition(b".")[2].lower(), photo) for name in names), np.int8, count
    )
