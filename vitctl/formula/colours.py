"""Colours in integers: the hue wheel, palettes, and clouds of noise behind a picture."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np

from vitctl.formula.integers import Array, random_bits, random_bytes, uniform

HUES = np.asarray(
    [[round(255 * part) for part in colorsys.hsv_to_rgb(hue / 256, 1, 1)] for hue in range(256)],
    np.int32,
)
"""int32[256, 3]: RGB of each hue at full saturation and value."""

_DOUBLINGS = 5
"""How often the grid of a cloud is doubled; the coarsest has cells of 32 pixels."""


def palettes(xp: Any, keys: Array, stream: int) -> Array:
    """int32[b, 256, 3] RGB: one turn of the hue wheel from a random start, at a random saturation
    of at least 0.3 and a value of at least 0.5 (Anderson & Farrell 2021, section 3.3)."""
    bits = random_bits(xp, keys, stream, 3)
    first_hue = uniform(bits[:, 0:1], 0, 255)
    saturation = uniform(bits[:, 1:2], 77, 255)[:, :, None]
    value = uniform(bits[:, 2:3], 128, 255)[:, :, None]
    hues = (first_hue + xp.arange(256, dtype=np.int32)[None, :]) & np.int32(255)
    wheel = xp.asarray(HUES)[hues]
    washed = np.int32(255) - saturation * (np.int32(255) - wheel) // np.int32(255)
    return value * washed // np.int32(255)


def clouds(xp: Any, keys: Array, stream: int, size: int) -> Array:
    """int32[b, size, size] from 0 to 255, both reached: noise whose amplitude falls by a random
    factor of 0.4 to 0.8 with each halving of its scale, as by midpoint displacement (Anderson &
    Farrell 2021, section 3.3)."""
    images = keys.shape[0]
    decay = uniform(random_bits(xp, keys, stream, 1), 102, 205)[:, :, None]
    side = -(-(size - 1) // 2**_DOUBLINGS) + 1
    field = _noise(xp, keys, stream + 1, side) << np.int32(8)
    amplitude = xp.full((images, 1, 1), np.int32(256))
    for level in range(_DOUBLINGS):
        field = _doubled(xp, _doubled(xp, field).swapaxes(1, 2)).swapaxes(1, 2)
        side = field.shape[1]
        amplitude = amplitude * decay >> np.int32(8)
        field = field + _noise(xp, keys, stream + 2 + level, side) * amplitude
    field = field[:, :size, :size]
    low = field.min(axis=(1, 2), keepdims=True)
    span = xp.maximum(field.max(axis=(1, 2), keepdims=True) - low, np.int32(16))
    # One division an image, not one a pixel; spans are some 2^15 to 2^17.
    steps = np.int32(255 << 15) // (span >> np.int32(4))
    return xp.minimum(((field - low) >> np.int32(4)) * steps >> np.int32(15), np.int32(255))


def _noise(xp: Any, keys: Array, stream: int, side: int) -> Array:
    """int32[b, side, side] from -128 to 127."""
    noise = random_bytes(xp, keys, stream, side * side).astype(np.int32) - np.int32(128)
    return noise.reshape(keys.shape[0], side, side)


def _doubled(xp: Any, field: Array) -> Array:
    """[b, n, m] -> [b, 2 n - 1, m]: the mean of its neighbours between every two rows."""
    between = (field[:, :-1] + field[:, 1:]) >> np.int32(1)
    pairs = xp.stack([field[:, :-1], between], axis=2)
    images, rows, _, columns = pairs.shape
    return xp.concatenate([pairs.reshape(images, 2 * rows, columns), field[:, -1:]], axis=1)
