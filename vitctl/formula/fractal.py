"""Fractal pictures: the attractor of a system, coloured by density before a cloud of noise.

A chaos game of 4,096 orbits side by side: from a point near the attractor each takes 10 steps that
are not drawn, then 16 that are, 65,536 points in all (the generator of Anderson & Farrell, 2021,
draws 100,000 of one orbit). An instance of a class differs by its orbits, by the scale of one map
(0.8 to 1.1), by zoom (0.7 to 2), shift (up to a tenth of the picture), the 8 symmetries of the
square, its colours and its background.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from vitctl.formula.colours import clouds, palettes
from vitctl.formula.integers import (
    ONE,
    POINT,
    Array,
    below,
    bytes_of,
    looked_up,
    random_bits,
    random_bytes,
    times,
    uniform,
)
from vitctl.formula.systems import CHOICES, MAPS, Systems

ORBITS, BURN_IN, DRAWN = 4096, 10, 16
POINTS = ORBITS * DRAWN

_DENSITIES = 1024
_LEVELS = np.asarray(
    [round(255 * math.log1p(count) / math.log1p(_DENSITIES - 1)) for count in range(_DENSITIES)],
    np.int32,
)
"""int32[1024]: points in a pixel -> place in the palette, whose end is 1,023 or more points."""

_INSTANCE, _ORBIT, _FRONT, _BACK, _CLOUD = 1, 2, 3, 4, 16
_FAR = np.int32(4 * ONE - 1)


@dataclass(frozen=True)
class View:
    """Where points of [-1, 1]^2 come to lie, an int32[b, 1] each.

    scale_x, scale_y    pixels a unit, with 5 fractional bits; below 0 where the axis is flipped
    centre_x, centre_y  pixels
    stride_x, stride_y  what a step along an axis adds to the number of a pixel: 1 and the size,
                        the other way round where the axes are exchanged
    """

    scale_x: Array
    scale_y: Array
    centre_x: Array
    centre_y: Array
    stride_x: Array
    stride_y: Array


def attractors(
    xp: Any, keys: Array, systems: Systems, *, orbits: int = ORBITS
) -> tuple[Array, Array]:
    """x and y, int32[b, orbits * 16] each, fixed point: points of each image's attractor.

    keys uint32[b, 2]; `systems` holds a row of each image's class.
    """
    table = _packed(_jittered(xp, keys, systems))
    images = keys.shape[0]
    draws = random_bytes(xp, keys, _ORBIT, (BURN_IN + DRAWN) * orbits)
    first = xp.arange(images, dtype=np.int32)[:, None] * np.int32(CHOICES)
    x = y = xp.zeros((images, orbits), np.int32)
    xs, ys = [], []
    for step in range(BURN_IN + DRAWN):
        choice = draws[:, step * orbits : (step + 1) * orbits].astype(np.int32) + first
        (a, b), (c, d), (e, f) = (_unpacked(looked_up(xp, part, choice)) for part in table)
        x, y = _mapped(xp, a, b, e, x, y), _mapped(xp, c, d, f, x, y)
        if step >= BURN_IN:
            xs.append(x)
            ys.append(y)
    return xp.concatenate(xs, axis=1), xp.concatenate(ys, axis=1)


def _mapped(xp: Any, of_x: Array, of_y: Array, offset: Array, x: Array, y: Array) -> Array:
    sum_ = ((of_x * x + of_y * y + np.int32(ONE // 2)) >> np.int32(POINT)) + offset
    return xp.clip(sum_, -_FAR, _FAR)


def _packed(maps: Array) -> list[Array]:
    """int32[b, 256, 6] -> three of int32[b * 256], two numbers of 16 bits each."""
    upper, lower = maps[:, :, 0::2], maps[:, :, 1::2]
    pairs = (upper << np.int32(16)) | (lower & np.int32(0xFFFF))
    return [pairs[:, :, part].reshape(-1) for part in range(3)]


def _unpacked(pairs: Array) -> tuple[Array, Array]:
    return pairs >> np.int32(16), (pairs << np.int32(16)) >> np.int32(16)


def _jittered(xp: Any, keys: Array, systems: Systems) -> Array:
    """int32[b, 256, 6]: the map of each byte, one map of every image scaled by 0.8 to 1.1."""
    bits = random_bits(xp, keys, _INSTANCE, 2)
    picked = below(bits[:, 0], systems.count.astype(np.uint32))
    factor = uniform(bits[:, 1], ONE * 8 // 10, ONE * 11 // 10)[:, None]
    factor = xp.minimum(factor, xp.maximum(systems.largest, np.int32(ONE * 8 // 10)))
    scaled = times(systems.maps, factor[:, :, None])
    own = xp.arange(MAPS, dtype=np.int32)[None, :] == picked[:, None]
    maps = xp.where(own[:, :, None], scaled, systems.maps)
    return xp.take_along_axis(maps, systems.chosen[:, :, None], axis=1)


def views(xp: Any, keys: Array, size: int) -> View:
    """How each image looks at its attractor."""
    bits = random_bits(xp, keys, _INSTANCE, 8)[:, 2:]
    zoom = uniform(bits[:, 0:1], ONE * 7 // 10, 2 * ONE)
    reach = size // 10
    scale = np.int32((size // 2) * 32 * 64) // (zoom >> np.int32(POINT - 6))
    centres = [
        uniform(bits[:, axis : axis + 1], -reach, reach) + np.int32(size // 2) for axis in (1, 2)
    ]
    return _view(xp, bits[:, 3:4], scale, centres, size)


def _view(xp: Any, word: Array, scale: Array, centres: list[Array], size: int) -> View:
    """With one of the 8 symmetries of the square, by three bits of `word`."""
    flipped = [((word >> np.uint32(bit)) & np.uint32(1)) == 1 for bit in (31, 30)]
    swapped = (word & np.uint32(1)) == 1
    return View(
        scale_x=xp.where(flipped[0], -scale, scale),
        scale_y=xp.where(flipped[1], -scale, scale),
        centre_x=centres[0],
        centre_y=centres[1],
        stride_x=xp.where(swapped, np.int32(size), np.int32(1)),
        stride_y=xp.where(swapped, np.int32(1), np.int32(size)),
    )


def pixels(xp: Any, x: Array, y: Array, view: View, size: int) -> Array:
    """int32[b, n]: the pixel of each point, row by row; `size * size` for points outside."""
    column = (x * view.scale_x >> np.int32(POINT + 5)) + view.centre_x
    row = (y * view.scale_y >> np.int32(POINT + 5)) + view.centre_y
    # As unsigned numbers, those below zero are large.
    inside = (column.astype(np.uint32) < np.uint32(size)) & (
        row.astype(np.uint32) < np.uint32(size)
    )
    pixel = row * view.stride_y + column * view.stride_x
    return xp.where(inside, pixel, np.int32(size * size))


def small_views(xp: Any, keys: Array, size: int) -> View:
    """How each of several fractals in one picture lies in it: 0.15 to 0.6 of its width, whole."""
    bits = random_bits(xp, keys, _INSTANCE, 8)[:, 2:]
    half = uniform(bits[:, 0:1], max(2, size * 15 // 200), max(3, size * 60 // 200))
    # Uniform over the places where it fits.
    left = (np.int32(size) - half - half).astype(np.uint32)
    centres = [below(bits[:, axis : axis + 1], left) + half for axis in (1, 2)]
    return _view(xp, bits[:, 3:4], half * np.int32(32), centres, size)


def counted(xp: Any, pixels: Array, size: int) -> Array:
    """int32[b, size, size]: how many of the points `pixels`, int32[b, n], lie in each pixel."""
    images = pixels.shape[0]
    cells = size * size + 1
    first = xp.arange(images, dtype=np.int32)[:, None] * np.int32(cells)
    flat = (pixels + first).reshape(-1)
    if xp is np:
        counts = np.bincount(flat, minlength=images * cells).astype(np.int32)
    else:
        counts = xp.zeros(images * cells, np.int32).at[flat].add(np.int32(1), mode="drop")
    return counts.reshape(images, cells)[:, :-1].reshape(images, size, size)


def painted(xp: Any, keys: Array, slots: Array, counts: Array) -> Array:
    """uint8[b, size, size, 3]: fractals one over the other before a cloud.

    keys    uint32[b, 2] of the pictures
    slots   uint32[b, k, 2] keys of the fractals of each
    counts  int32[b, k, size, size] points of each fractal in each pixel
    """
    images, fractals, size, _ = counts.shape
    levels = looked_up(xp, xp.asarray(_LEVELS), xp.minimum(counts, np.int32(_DENSITIES - 1)))
    index = clouds(xp, keys, _CLOUD, size)
    for slot in range(fractals):
        front = levels[:, slot] + np.int32(256 * (slot + 1))
        index = xp.where(counts[:, slot] > 0, front, index)
    fronts = palettes(xp, slots.reshape(-1, 2), _FRONT).reshape(images, fractals * 256, 3)
    both = xp.concatenate([palettes(xp, keys, _BACK), fronts], axis=1)
    red, green, blue = (both[:, :, channel].astype(np.uint32) for channel in range(3))
    packed = (red | (green << np.uint32(8)) | (blue << np.uint32(16))).reshape(-1)
    index = index + xp.arange(images, dtype=np.int32)[:, None, None] * np.int32(both.shape[1])
    rgb0 = bytes_of(xp, looked_up(xp, packed, index)).reshape(images, size, size, 4)
    return rgb0[..., :3]
