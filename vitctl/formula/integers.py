"""The arithmetic of formula images: hashes, fixed-point numbers and sines, in 32-bit integers.

Integers are the same on every machine, so NumPy on a host and XLA on an accelerator make the same
pixels, bit for bit. Every function takes NumPy arrays as well as jax arrays and returns the kind
that it was given.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = Any
"""`numpy.ndarray` or `jax.Array`; inside `jax.jit`, a tracer."""

POINT = 13
"""Fractional bits of a fixed-point number: 1.0 is 8192."""
ONE = 1 << POINT
TURN = 4096
"""Steps of a full turn in the table of sines."""
SINES = np.asarray(
    [round(ONE * math.sin(2 * math.pi * step / TURN)) for step in range(TURN)], np.int32
)
"""int32[TURN], fixed point."""

_GOLDEN = np.uint32(0x9E3779B9)


def mix(bits: Array) -> Array:
    """uint32 -> uint32, a bijection in which each bit of the result depends on every bit given.

    The constants are those of Wellons' hash prospector, "triple32" (2018): exact bias 0.021.
    """
    bits = bits ^ (bits >> np.uint32(17))
    bits = bits * np.uint32(0xED5AD4BB)
    bits = bits ^ (bits >> np.uint32(11))
    bits = bits * np.uint32(0xAC4C1B51)
    bits = bits ^ (bits >> np.uint32(15))
    bits = bits * np.uint32(0x31848BAB)
    return bits ^ (bits >> np.uint32(14))


def _mix_quickly(bits: Array) -> Array:
    """As `mix` with two multiplications: "lowbias32" of the same source, exact bias 0.17."""
    bits = bits ^ (bits >> np.uint32(16))
    bits = bits * np.uint32(0x7FEB352D)
    bits = bits ^ (bits >> np.uint32(15))
    bits = bits * np.uint32(0x846CA68B)
    return bits ^ (bits >> np.uint32(16))


def image_keys(xp: Any, *integers: Array | int) -> Array:
    """uint32[b, 2]: the key of each image, from integers that name it, of which some are arrays
    of b. Two names have one key with a chance of 2^-64."""
    halves = []
    for salt in (0x243F6A88, 0x85A308D3):  # digits of pi
        half = xp.zeros((1,), np.uint32) + np.uint32(salt)
        for integer in integers:
            word = (
                np.uint32(integer & 0xFFFFFFFF)
                if isinstance(integer, int)
                else integer.astype(np.uint32)
            )
            half = mix((half ^ word) + _GOLDEN)
        halves.append(half)
    return xp.stack(xp.broadcast_arrays(*halves), axis=-1)


def random_bits(xp: Any, keys: Array, stream: int, count: int) -> Array:
    """uint32[b, count]: independent streams of random bits, by image and by purpose."""
    purpose = np.uint32((stream * int(_GOLDEN)) & 0xFFFFFFFF)
    first = mix(keys[:, 0:1] + purpose)
    second = keys[:, 1:2] ^ purpose
    counters = xp.arange(count, dtype=np.uint32)[None, :]
    return _mix_quickly(first ^ _mix_quickly(counters + second))


def random_bytes(xp: Any, keys: Array, stream: int, count: int) -> Array:
    """uint8[b, count]: four of every word of `random_bits`."""
    return bytes_of(xp, random_bits(xp, keys, stream, -(-count // 4)))[:, :count]


def bytes_of(xp: Any, bits: Array) -> Array:
    """uint32[..., n] -> uint8[..., 4 n], the lowest byte of each word first."""
    if xp is np:
        return np.ascontiguousarray(bits, "<u4").view(np.uint8)
    shifts = np.asarray([0, 8, 16, 24], np.uint32).reshape((1,) * bits.ndim + (4,))
    parts = (bits[..., None] >> shifts) & np.uint32(255)
    return parts.astype(np.uint8).reshape(*bits.shape[:-1], -1)


def looked_up(xp: Any, table: Array, index: Array) -> Array:
    """`table[index]`; both int32 or uint32, the table of one axis."""
    if xp is np:  # NumPy is twice as fast with its own type of index and without checks
        return np.take(table, index.astype(np.intp, copy=False), mode="clip")
    return table[index]


def uniform(bits: Array, low: int, high: int) -> Array:
    """int32 in [low, high], both included, from random bits; `high - low` below 65,536."""
    return below(bits, np.uint32(high - low + 1)) + np.int32(low)


def below(bits: Array, limits: Array) -> Array:
    """int32 in [0, limit) from random bits; `limits`, uint32, are 65,536 at most."""
    return (((bits >> np.uint32(16)) * limits) >> np.uint32(16)).astype(np.int32)


def times(left: Array, right: Array) -> Array:
    """The product of fixed-point numbers, rounded to nearest; |product| below 2^17."""
    return (left * right + np.int32(ONE // 2)) >> np.int32(POINT)
