"""Colours of an embedded profile (ICC.1:2022) -> sRGB, by LittleCMS as Pillow calls it."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}
"""Pillow's mode -> the colour space that a profile says it is of (ICC.1:2022, table 19)."""
_ERRORS = (ImageCms.PyCMSError, OSError, ValueError, TypeError)
_PROFILES = 32
"""Held at once: cameras write the same few."""
_GRID = 17
"""Points along each axis at which a profile is compared with sRGB."""
_SAME = 2
"""Of 255. Profiles of sRGB itself round their tables differently; Adobe RGB and Display P3 differ
by dozens."""


class UnusableProfileError(Exception):
    """A profile that is damaged, or is of another colour space than the image."""


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image | None:
    """An image of mode "L", "RGB" or "CMYK" in sRGB, grey ones as "L", others as "RGB"; None where
    the profile is that of sRGB, so that nothing is to be done. Raises `UnusableProfileError`."""
    space = _space(profile)
    if space not in ("RGB ", _SPACES[image.mode]) or (image.mode == "CMYK" and space == "RGB "):
        raise UnusableProfileError(f"it is of {space.strip()} colours")
    # Programs leave the profile of a colour image in a grey one made of it: equal amounts of each.
    own = image.convert("RGB") if space == "RGB " else image
    transform = _transform(profile, own.mode)
    if transform is None:
        return None
    converted = transform.apply(own)
    return converted.convert("L") if image.mode == "L" else converted


@lru_cache(maxsize=_PROFILES)
def _space(profile: bytes) -> str:
    try:
        space: str = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space
    except _ERRORS as error:
        raise UnusableProfileError(str(error)) from None
    return space


@lru_cache(maxsize=_PROFILES)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb = ImageCms.createProfile("sRGB")
        # A table of few greys is what it is optimized to otherwise: 10 of 255 off near black.
        flags = ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE
        transform = ImageCms.buildTransform(own, srgb, mode, "RGB", flags=flags)
    except _ERRORS as error:
        raise UnusableProfileError(str(error)) from None
    if mode == "CMYK":
        return transform
    probe = _probe(mode)
    change = np.asarray(transform.apply(probe)).astype(int) - np.asarray(probe.convert("RGB"))
    return None if np.abs(change).max() <= _SAME else transform


def _probe(mode: str) -> Image.Image:
    """Colours all over the cube, or all greys."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    steps = np.linspace(0, 255, _GRID).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1)
    return Image.fromarray(cube.reshape(_GRID, _GRID * _GRID, 3))
