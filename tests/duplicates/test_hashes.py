"""64 bits of how a picture looks, against their definition in plain float64."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft

from tests.duplicates.pictures import tiles
from vitctl.duplicates import hashes
from vitctl.duplicates.prints import grey


@pytest.fixture(scope="module")
def pictures():
    return np.stack([grey(tile) for tile in tiles()])


def averages(picture, top, bottom, left, right):
    """float64[32, 32]: means over cells of a part, by a picture 80 times larger: 5 % of 64 pixels
    and a 32nd of that part are then whole numbers of its pixels."""
    large = np.repeat(np.repeat(picture.astype(float), 80, axis=0), 80, axis=1)
    side = large.shape[0]
    rows, columns = (
        np.rint(np.linspace(low * side, high * side, 33)).astype(int)
        for low, high in ((top, bottom), (left, right))
    )
    return np.array(
        [
            [large[rows[y] : rows[y + 1], columns[x] : columns[x + 1]].mean() for x in range(32)]
            for y in range(32)
        ]
    )


def by_definition(picture, part):
    low = scipy.fft.dctn(averages(picture, *part), norm="ortho")
    values = [low[v, u] for v in range(8) for u in range(8) if (v, u) != (0, 0)] + [low[8, 0]]
    return np.array(values)


def bits(value):
    return np.array([(int(value) >> bit) & 1 for bit in range(64)])


@pytest.mark.parametrize("part", range(6))
def test_hashes_are_the_signs_of_the_lowest_frequencies(pictures, part):
    for picture in pictures[::16]:
        expected = by_definition(picture, hashes.PARTS[part])
        actual = bits(hashes.hashes(picture[None])[0, part])
        clear = np.abs(expected) > 0.05  # of 8160: beyond what rounding decides
        assert clear.sum() > 50
        assert np.array_equal(actual[clear], expected[clear] > 0)


def test_a_batch_is_as_one_by_one(pictures):
    whole = hashes.hashes(pictures)
    assert whole.dtype == np.uint64
    assert whole.shape == (len(pictures), 6)
    assert np.array_equal(whole, np.concatenate([hashes.hashes(p[None]) for p in pictures]))


def test_hashes_of_a_mirrored_picture_need_no_picture(pictures):
    mirrored = hashes.hashes(pictures[:, :, ::-1])
    turned = hashes.flipped(hashes.hashes(pictures))
    # The left parts become the right ones.
    assert np.array_equal(mirrored, turned[:, [0, 1, 3, 2, 5, 4]])
    assert np.array_equal(hashes.flipped(turned), hashes.hashes(pictures))


def test_neither_brightness_nor_contrast_matters(pictures):
    darker = (pictures // 2 + 20).astype(np.uint8)
    differ = np.bitwise_count(hashes.hashes(pictures)[:, 0] ^ hashes.hashes(darker)[:, 0])
    assert np.median(differ) <= 1
    assert differ.max() <= 4  # halves are rounded


def test_bits_are_even_and_differ_between_pictures(pictures):
    whole = hashes.hashes(pictures)[:, 0]
    assert 20 < np.mean([bits(value).sum() for value in whole]) < 44
    differ = np.bitwise_count(whole[:, None] ^ whole[None])[np.triu_indices(len(whole), 1)]
    assert 28 < np.median(differ) < 36


def test_pictures_of_one_grey_are_flat():
    rng = np.random.default_rng(0)
    blank = np.full((64, 64), 200, np.uint8)
    noise = rng.integers(199, 202, (64, 64)).astype(np.uint8)
    ramp = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    assert hashes.is_flat(np.stack([blank, noise, ramp])).tolist() == [True, True, False]
    assert hashes.hashes(blank[None]).tolist() == [[0] * 6]
