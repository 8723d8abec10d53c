"""Iterated function systems: what a class of fractal pictures is.

A system is 2 to 4 affine maps x -> A x + b, drawn so that every one contracts and the whole covers
the plane well, without trial and error: Anderson & Farrell, "Improving Fractal Pre-training"
(2021), section 3. A = U diag(s1, s2) V with random rotations U and V and random signs, and the
singular values obey sum(s1 + 2 s2) = sigma with sigma uniform in [(5 + N) / 2, (6 + N) / 2] for N
maps.

Classes are drawn in float64, moved so that the attractor fills the square [-1, 1]^2, and rounded to
fixed point; all that follows is integer arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitctl.formula.integers import ONE, image_keys, random_bits

MAPS = 4
"""The most maps of a system."""
CHOICES = 256
"""A map is chosen by a random byte: entry i of a class's table is the map that byte i chooses."""
_LARGEST_STRETCH = 2.0
"""One axis is enlarged at most this much more than the other when an attractor is moved to the
square; more would turn lines into noise."""
_LARGEST_SINGULAR_VALUE = 0.98
"""A jittered map stays at least this contractive."""
_ORBITS, _BURN_IN, _SEEN = 512, 20, 4
_TAG_SYSTEM, _TAG_ORBIT = 0x51, 0x52


@dataclass(frozen=True)
class Systems:
    """The systems of all classes of a set, in fixed point.

    maps     int32[classes, MAPS, 6] (a, b, c, d, e, f): x' = a x + b y + e, y' = c x + d y + f
    chosen   int32[classes, CHOICES] map chosen by each byte, in proportion to |det A|
    count    int32[classes] maps in use
    largest  int32[classes, MAPS] the most a map may be scaled by and still contract
    """

    maps: NDArray[np.int32]
    chosen: NDArray[np.int32]
    count: NDArray[np.int32]
    largest: NDArray[np.int32]


def draw_systems(seed: int, classes: int) -> Systems:
    """The systems of classes 0 to `classes` - 1. More classes begin with the same ones."""
    drawn = [_draw(seed, index) for index in range(classes)]
    return Systems(
        maps=np.stack([system[0] for system in drawn]),
        chosen=np.stack([system[1] for system in drawn]),
        count=np.asarray([system[2] for system in drawn], np.int32),
        largest=np.stack([system[3] for system in drawn]),
    )


def _draw(
    seed: int, index: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], int, NDArray[np.int32]]:
    for attempt in range(64):
        keys = image_keys(np, seed, _TAG_SYSTEM, np.asarray([index]), attempt)
        # 53 bits, as a float64 in [0, 1)
        bits = random_bits(np, keys, 0, 128)[0].astype(np.uint64)
        uniforms = iter((((bits[::2] << np.uint64(32)) | bits[1::2]) >> np.uint64(11)) * 2.0**-53)
        count = 2 + int(next(uniforms) * 3)
        sigma = (5 + count) / 2 + next(uniforms) / 2
        singular = singular_values(count, sigma, uniforms)
        matrices = np.empty((count, 2, 2))
        for one, (s1, s2) in zip(matrices, singular, strict=True):
            signs = np.where([next(uniforms) < 0.5, next(uniforms) < 0.5], -1.0, 1.0)
            one[...] = _rotation(next(uniforms)) @ np.diag([s1, s2]) @ _rotation(next(uniforms))
            one *= signs[None, :]
        shifts = np.asarray(
            [[2 * next(uniforms) - 1, 2 * next(uniforms) - 1] for _ in range(count)]
        )
        determinants = np.abs(np.linalg.det(matrices))
        chosen = _by_byte(determinants)
        moved = _to_square(matrices, shifts, chosen, keys)
        if moved is None:
            continue  # an attractor that is nearly a point or a line has no picture
        maps = np.zeros((MAPS, 6), np.int32)
        largest = np.zeros(MAPS, np.int32)
        matrices, shifts = moved
        maps[:count, 0:4] = np.round(matrices.reshape(count, 4) * ONE)
        maps[:count, 4:6] = np.round(shifts * ONE)
        largest[:count] = np.floor(_LARGEST_SINGULAR_VALUE / singular[:, 0] * ONE)
        return maps, chosen, count, largest
    raise AssertionError("64 systems in a row without a picture")


def singular_values(count: int, sigma: float, uniforms: Iterator[float]) -> NDArray[np.float64]:
    """float64[count, 2]: s1 >= s2, each in [0, 1], with sum(s1 + 2 s2) = sigma, drawn map by map
    from the interval that leaves the maps to come a solution (the paper's appendix)."""
    values = np.empty((count, 2))
    left = sigma  # to be shared out
    slack = sigma - 3 * count + 3  # what this map must take: those to come take at most 3 each
    for row in values[:-1]:
        low, high = max(0.0, slack / 3), min(1.0, left)
        row[0] = low + next(uniforms) * (high - low)
        left, slack = left - row[0], slack - row[0]
        low, high = max(0.0, slack / 2), min(row[0], left / 2)
        row[1] = low + next(uniforms) * (high - low)
        left, slack = left - 2 * row[1], slack - 2 * row[1] + 3
    low, high = max(0.0, (left - 1) / 2), left / 3
    values[-1, 1] = low + next(uniforms) * (high - low)
    values[-1, 0] = left - 2 * values[-1, 1]
    return values


def _rotation(turn: float) -> NDArray[np.float64]:
    cos, sin = np.cos(2 * np.pi * turn), np.sin(2 * np.pi * turn)
    return np.asarray([[cos, -sin], [sin, cos]])


def _by_byte(determinants: NDArray[np.float64]) -> NDArray[np.int32]:
    """int32[CHOICES]: a map's share of the bytes is its share of the area, one byte at least."""
    share = np.maximum(determinants / determinants.sum(), 1 / CHOICES)
    edges = np.round(np.cumsum(share / share.sum()) * CHOICES).astype(np.int64)
    return np.searchsorted(edges, np.arange(CHOICES), side="right").astype(np.int32)


def _to_square(
    matrices: NDArray[np.float64],
    shifts: NDArray[np.float64],
    chosen: NDArray[np.int32],
    keys: NDArray[np.uint32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The same system in coordinates in which its attractor fills [-1, 1]^2."""
    steps = _BURN_IN + _SEEN
    draws = random_bits(np, keys, _TAG_ORBIT, _ORBITS * steps).reshape(steps, _ORBITS)
    x = y = np.zeros(_ORBITS)
    points = []
    for step in draws % np.uint32(CHOICES):
        which = chosen[step]
        (a, b), (c, d) = matrices[which].transpose(1, 2, 0)
        e, f = shifts[which].T
        x, y = a * x + b * y + e, c * x + d * y + f
        points.append(np.stack([x, y]))
    orbit = np.stack(points[_BURN_IN:])
    low, high = orbit.min(axis=(0, 2)), orbit.max(axis=(0, 2))
    centre, half = (low + high) / 2, (high - low) / 2
    if half.min() < 0.01 or half.max() > 100:
        return None
    half = np.maximum(half, half.max() / _LARGEST_STRETCH)
    moved = matrices * half[None, None, :] / half[None, :, None]
    offset = np.einsum("nij,j->ni", matrices, centre) - centre[None, :] + shifts
    offset = offset / half[None, :]
    if np.abs(moved).max() >= 2 or np.abs(offset).max() >= 3.5:
        return None
    return moved, offset
