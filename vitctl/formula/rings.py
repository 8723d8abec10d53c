"""Ring pictures: closed lines around a centre, one inside the other, each a little out of round.

Two families of one construction, in which the radius of a vertex changes from line to line by the
line's width, noise of its own and, for atoms, two harmonics of its angle:

    atom     bright lines on black, 200 to 1,000 vertices, two frequencies of 0 to 20: as VisualAtom
             (Takashima et al., CVPR 2023)
    contour  dark polygons on white, 3 to 200 vertices, no harmonics: as RCDB (Kataoka et al.,
             CVPR 2022)

A class is its vertices, lines, noise, ovals and frequencies; an instance of it, a centre, a first
radius, the grey of each line and the noise itself. Radii, widths and swings are chosen to fill
pictures; they are not those of the published sets. Lengths are given at 512 pixels and scale with
the picture; lines are one pixel wide at every size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vitctl.formula.integers import (
    ONE,
    POINT,
    SINES,
    TURN,
    Array,
    image_keys,
    looked_up,
    random_bits,
    random_bytes,
    uniform,
)

RingFamily = Literal["atom", "contour"]

LINES = 88
"""The most lines of a picture; the published sets have up to 200 at 512 pixels, and of more than
these at 224 none would be told from the next."""
POINTS = 1024
"""Points of a line: no two are further apart than a pixel, at pictures of up to 326 pixels."""

_DESIGNED_FOR = 512
_LENGTH = 6
"""Fractional bits of a length in pixels."""
_TAG_RINGS = 0x53
_INSTANCE, _GREY, _NOISE = 1, 2, 3


@dataclass(frozen=True)
class Rings:
    """The classes of a set, int32[classes] each but for the two columns of an oval.

    vertices  of a line
    lines     of a picture
    noise     largest change of a radius by noise, pixels at 512, fixed point
    step      change of every radius from line to line, the same
    oval      int32[classes, 2] stretch along both axes, fixed point
    waves     int32[classes, 2] harmonics of the angle; the family `contour` has none
    """

    vertices: NDArray[np.int32]
    lines: NDArray[np.int32]
    noise: NDArray[np.int32]
    step: NDArray[np.int32]
    oval: NDArray[np.int32]
    waves: NDArray[np.int32]


def draw_rings(family: RingFamily, seed: int, classes: int) -> Rings:
    """The classes 0 to `classes` - 1. More classes begin with the same ones."""
    index = np.arange(classes)
    bits = random_bits(np, image_keys(np, seed, _TAG_RINGS, int(family == "atom"), index), 0, 8)
    if family == "atom":
        vertices = uniform(bits[:, 0], 200, 1000)
        step = np.full(classes, ONE // 5, np.int32)
    else:
        # Exponential with a mean of 100, cut to 3 to 200; by a table, the same on every machine.
        vertices = np.asarray(_exponential())[uniform(bits[:, 0], 0, 255)]
        step = uniform(bits[:, 4], 0, ONE * 5 // 4)
    first = uniform(bits[:, 5], 0, 20)
    second = (first + uniform(bits[:, 6], 1, 20)) % 21
    return Rings(
        vertices=vertices.astype(np.int32),
        lines=uniform(bits[:, 1], 1, 200).astype(np.int32) * LINES // 200 + 1,
        noise=uniform(bits[:, 2], 0, 4 * ONE - 1),
        step=step.astype(np.int32),
        oval=np.stack([uniform(bits[:, 3], ONE, 2 * ONE), uniform(bits[:, 7], ONE, 2 * ONE)], 1),
        waves=np.stack([first, second], axis=1).astype(np.int32),
    )


def _exponential() -> list[int]:
    """256 quantiles of the number of vertices: floor(Exp(100)), of those in 3 to 200."""
    low, high = 1 - np.exp(-3 / 100), 1 - np.exp(-201 / 100)
    quantiles = low + (np.arange(256) + 0.5) / 256 * (high - low)
    return [int(value) for value in np.floor(-100 * np.log1p(-quantiles))]


def ring_points(
    xp: Any, family: RingFamily, keys: Array, rings: Rings, size: int
) -> tuple[Array, Array]:
    """Points of the lines of each image, and the lines' greys, for `drawn`.

    `rings` holds a row of each image's class. Returns the pixel of each point, int32[b, LINES,
    POINTS] row by row, `size * size` for points that are outside or of no line, and the greys,
    int32[b, LINES].
    """
    images = keys.shape[0]
    bits = random_bits(xp, keys, _INSTANCE, 3)
    vertices = rings.vertices[:, None, None]
    if family == "atom":
        radius = uniform(bits[:, 0], 20, 120)
        centre = uniform(bits[:, 1:3], _DESIGNED_FOR // 8, _DESIGNED_FOR * 7 // 8)
        grey = random_bytes(xp, keys, _GREY, LINES).astype(np.int32)
        grey = xp.maximum(grey, np.int32(32))
    else:
        radius = uniform(bits[:, 0], 20, 140)
        centre = uniform(bits[:, 1:3], _DESIGNED_FOR // 4, _DESIGNED_FOR * 3 // 4)
        grey = random_bytes(xp, keys, _GREY, LINES).astype(np.int32) >> np.int32(1)
    # Each point lies between two vertices: which, and how far from the first, with 10 fractional
    # bits. The number of vertices differs by image, the number of points does not.
    place = xp.arange(POINTS, dtype=np.int32)[None, None, :] * vertices
    before = place >> np.int32(10)
    share = place & np.int32(1023)
    after = xp.where(before + np.int32(1) == vertices, np.int32(0), before + np.int32(1))
    radii = _radii(xp, family, keys, rings, radius)
    sine = xp.asarray(SINES)
    pairs = []
    for vertex in (before, after):
        angle = vertex * np.int32(TURN) // vertices
        along = xp.take_along_axis(radii, xp.broadcast_to(vertex, (images, LINES, POINTS)), axis=2)
        cos = looked_up(xp, sine, (angle + np.int32(TURN // 4)) & np.int32(TURN - 1))
        sin = looked_up(xp, sine, angle)
        # A radius of up to 1,023 pixels with 6 bits times a sine of 13 bits fits 31.
        pairs.append([(along * turned) >> np.int32(POINT) for turned in (cos, sin)])
    inside = xp.arange(LINES, dtype=np.int32)[None, :, None] < rings.lines[:, None, None]
    lengths = []
    for axis in range(2):
        first, second = pairs[0][axis], pairs[1][axis]
        length = first + ((second - first) * share >> np.int32(10))
        stretched = length * (rings.oval[:, axis, None, None] >> np.int32(POINT - 6)) >> np.int32(6)
        middle = (centre[:, axis] << np.int32(_LENGTH))[:, None, None]
        at = (xp.clip(stretched, -(1 << 16), 1 << 16) + middle) * np.int32(size)
        at = at >> np.int32(_LENGTH + 9)
        inside = inside & (at.astype(np.uint32) < np.uint32(size))
        lengths.append(at)
    return xp.where(inside, lengths[1] * np.int32(size) + lengths[0], np.int32(size * size)), grey


def _radii(xp: Any, family: RingFamily, keys: Array, rings: Rings, radius: Array) -> Array:
    """int32[b, LINES, V] with 6 fractional bits: the radius of each vertex of each line."""
    most = 1000 if family == "atom" else 200
    noise = random_bytes(xp, keys, _NOISE, LINES * most).astype(np.int32)
    noise = noise.reshape(keys.shape[0], LINES, most) - np.int32(128)
    # noise is 7 bits and its amplitude 13
    change = (noise * rings.noise[:, None, None]) >> np.int32(7 + POINT - _LENGTH)
    change = change + (rings.step >> np.int32(POINT - _LENGTH))[:, None, None]
    if family == "atom":
        # A pixel a line for each harmonic, of the angle a vertex stands at.
        vertex = xp.arange(most, dtype=np.int32)[None, :] * np.int32(TURN)
        angle = vertex // rings.vertices[:, None]
        for wave in range(2):
            turned = (angle * rings.waves[:, wave, None]) & np.int32(TURN - 1)
            swing = looked_up(xp, xp.asarray(SINES), turned) >> np.int32(POINT - _LENGTH)
            change = change + swing[:, None, :]
    summed = (
        xp.cumsum(change, axis=1, dtype=np.int32) + (radius << np.int32(_LENGTH))[:, None, None]
    )
    return xp.clip(summed, -(1 << 16) + 1, (1 << 16) - 1)


def drawn(xp: Any, family: RingFamily, pixels: Array, grey: Array, size: int) -> Array:
    """uint8[b, size, size, 3]: the lines of each picture, later ones over earlier ones."""
    images = pixels.shape[0]
    background = np.int32(0 if family == "atom" else 255)
    cells = size * size + 1
    first = xp.arange(images, dtype=np.int32)[:, None, None] * np.int32(cells)
    # The largest wins: the line's number above its grey.
    value = (xp.arange(1, LINES + 1, dtype=np.int32)[None, :] << np.int32(8)) | grey
    flat = (pixels + first).reshape(-1)
    values = xp.broadcast_to(value[:, :, None], pixels.shape).reshape(-1)
    if xp is np:
        # In each picture the lines come in order, and of assignments to one element the last holds.
        canvas = np.zeros(images * cells, np.int32)
        canvas[flat] = values
    else:
        canvas = xp.zeros(images * cells, np.int32).at[flat].max(values, mode="drop")
    canvas = canvas.reshape(images, cells)[:, :-1]
    shades = xp.where(canvas == 0, background, canvas & np.int32(255)).astype(np.uint8)
    return xp.broadcast_to(shades.reshape(images, size, size)[..., None], (images, size, size, 3))
