from __future__ import annotations

import math

import numpy as np

from vitctl.formula.integers import (
    ONE,
    SINES,
    TURN,
    bytes_of,
    image_keys,
    mix,
    random_bits,
    random_bytes,
    uniform,
)

_MASK = 0xFFFFFFFF


def reference_mix(word: int) -> int:
    """The same hash in Python's unbounded integers."""
    for shift, factor in ((17, 0xED5AD4BB), (11, 0xAC4C1B51), (15, 0x31848BAB)):
        word ^= word >> shift
        word = word * factor & _MASK
    return word ^ word >> 14


def test_the_hash_is_that_of_unbounded_integers():
    integers = np.asarray([0, 1, 2, 12345, 2**31, _MASK], np.uint32)
    assert mix(integers).tolist() == [reference_mix(int(word)) for word in integers]


def test_keys_depend_on_every_integer_and_on_their_order():
    def key(*integers):
        return tuple(image_keys(np, *integers, np.asarray([7]))[0])

    keys = {key(0, 1), key(1, 0), key(1, 1), key(0, 1 << 16), key(0, 0)}
    assert len(keys) == 5
    rows = image_keys(np, 3, np.arange(1000), np.arange(1000) % 7)
    assert len({tuple(row) for row in rows.tolist()}) == 1000


def test_streams_are_uniform_and_unlike_one_another():
    keys = image_keys(np, 0, np.arange(4))
    draws = random_bytes(np, keys, 1, 1 << 16)
    counts = np.apply_along_axis(np.bincount, 1, draws, minlength=256)
    # chi-squared with 255 degrees of freedom: mean 255, standard deviation 22.6
    chi2 = ((counts - 256.0) ** 2 / 256).sum(axis=1)
    assert (abs(chi2 - 255) < 6 * 22.6).all()
    other = random_bytes(np, keys, 2, 1 << 16)
    for left, right in ((draws[0], draws[1]), (draws[0], other[0])):
        assert abs(np.corrcoef(left, right)[0, 1]) < 6 / 256
    # A longer stream begins with the shorter one.
    assert np.array_equal(random_bits(np, keys, 1, 10), random_bits(np, keys, 1, 99)[:, :10])


def test_bytes_are_the_words_little_endian():
    integers = np.asarray([[0x04030201, 0xDDCCBBAA]], np.uint32)
    assert bytes_of(np, integers).tolist() == [[1, 2, 3, 4, 0xAA, 0xBB, 0xCC, 0xDD]]


def test_uniform_reaches_both_ends_and_no_further():
    integers = random_bits(np, image_keys(np, np.asarray([5])), 0, 1 << 14)
    values = uniform(integers, -3, 9)
    assert set(values.ravel().tolist()) == set(range(-3, 10))


def test_sines():
    angles = np.arange(TURN) * 2 * math.pi / TURN
    assert np.abs(SINES / ONE - np.sin(angles)).max() <= 0.5 / ONE
