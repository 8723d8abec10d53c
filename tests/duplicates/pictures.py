"""Photos cut into tiles, and what becomes of pictures on their way through the web."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

SIDE = 106


@cache
def tiles() -> tuple[Image.Image, ...]:
    """48 pictures that do not overlap, of two photos; those of sky alone left out."""
    from sklearn.datasets import load_sample_images

    pictures = []
    for photo in load_sample_images().images:
        image = Image.fromarray(photo)
        for top in range(0, image.height - SIDE + 1, SIDE):
            for left in range(0, image.width - SIDE + 1, SIDE):
                tile = image.crop((left, top, left + SIDE, top + SIDE))
                if np.asarray(tile.convert("L")).std() > 12:
                    pictures.append(tile)
    return tuple(pictures)


def as_png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def as_jpeg(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def half(image: Image.Image) -> bytes:
    return as_png(image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC))


def crop(image: Image.Image, *, seed: int = 0) -> bytes:
    """5 % of the width and of the height off, from any side."""
    rng = np.random.default_rng([seed, *np.asarray(image).shape, int(np.asarray(image).sum())])
    width, height = round(image.width * 0.95), round(image.height * 0.95)
    left, top = rng.integers(image.width - width + 1), rng.integers(image.height - height + 1)
    return as_png(image.crop((left, top, left + width, top + height)))


CHANGES: dict[str, Callable[[Image.Image], bytes]] = {
    "half the size": half,
    "JPEG of quality 50": lambda image: as_jpeg(image, 50),
    "a crop of 5 %": crop,
    "a tenth brighter": lambda image: as_png(ImageEnhance.Brightness(image).enhance(1.1)),
    "mirrored": lambda image: as_png(ImageOps.mirror(image)),
}
