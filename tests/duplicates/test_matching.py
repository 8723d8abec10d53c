"""Which images match: planted ones, chains, crowds, and what pictures suffer on the web."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.duplicates import pictures
from tests.duplicates.pictures import CHANGES, as_png, tiles
from tests.duplicates.test_bands import near_hashes
from vitctl.duplicates import matching
from vitctl.duplicates.hashes import flipped
from vitctl.duplicates.matching import HOW, NONE, Against, Rules, within
from vitctl.duplicates.prints import PRINT, prints


def made(looks, *, rng):
    """Prints of images that are all readable, with digests of their own."""
    out = np.zeros(len(looks), PRINT)
    out["bytes"] = rng.integers(1, 2**63, (len(looks), 2))
    out["pixels"] = rng.integers(1, 2**63, (len(looks), 2))
    out["looks"] = looks
    out["readable"] = True
    return out


def random_looks(rng, count):
    pool = near_hashes(rng, clusters=4, each=15, most=8)
    return rng.choice(pool, (count, 6))


def fewest_bits(one, other, *, crop, flip):
    """int[n, m] between pictures, by the definition: whole to whole or part, both ways."""
    parts = range(6) if crop else range(1)
    best = np.full((len(one), len(other)), 99)
    for turned in (one, flipped(one)) if flip else (one,):
        for part in parts:
            for a, b in ((turned[:, part], other[:, 0]), (turned[:, 0], other[:, part])):
                best = np.minimum(best, np.bitwise_count(a[:, None] ^ b[None]))
    return best


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.booleans(), st.booleans())
def test_against_is_the_nearest_of_all(seed, distance, crop, flip):
    rng = np.random.default_rng(seed)
    own, others = made(random_looks(rng, 30), rng=rng), made(random_looks(rng, 20), rng=rng)
    rules = Rules(distance, reach=distance + 2, crop=crop, flip=flip)
    matches = Against(others, rules).matches(own)
    bits = fewest_bits(own["looks"], others["looks"], crop=crop, flip=flip)
    # Hashes of a whole that are equal are one picture, that of the first.
    _, first = np.unique(others["looks"][:, 0], return_index=True)
    bits = bits[:, np.sort(first)]
    nearest = bits.min(axis=1)
    assert np.array_equal(matches.any, nearest <= distance)
    assert np.array_equal(matches.nearest, np.where(nearest <= distance + 2, nearest, 65))
    assert np.array_equal(
        matches.entry[matches.any], np.sort(first)[bits.argmin(axis=1)][matches.any]
    )


@pytest.mark.parametrize("chunk", [7, 8192])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("crop", [False, True])
def test_within_is_greedy_in_the_order_of_rows(monkeypatch, crop, flip, chunk):
    monkeypatch.setattr(matching, "_CHUNK", chunk)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        looks = random_looks(rng, 60)
        looks[:, 0] = rng.permutation(np.unique(near_hashes(rng, clusters=8, each=20, most=9)))[:60]
        own = made(looks, rng=rng)
        matches, crowded = within(own, Rules(6, crop=crop, flip=flip))
        bits = fewest_bits(looks, looks, crop=crop, flip=flip)
        stays: list[int] = []
        for row in range(len(looks)):
            near = [other for other in stays if bits[row, other] <= 6]
            if near:
                best = min(near, key=lambda other: (bits[row, other], other))
                assert (matches.entry[row], matches.bits[row]) == (best, bits[row, best])
            else:
                stays.append(row)
                assert matches.entry[row] == NONE
        assert 0 < len(stays) < len(looks)
        assert crowded == 0


def test_more_of_a_chain_stays_than_its_first():
    """Neighbours differ in 4 bits, others in more than 6."""
    values = [(1 << (4 * i)) - 1 for i in range(16)]
    looks = np.array([[value] * 6 for value in values], np.uint64)
    matches, _ = within(made(looks, rng=np.random.default_rng(0)), Rules(6))
    assert matches.any.tolist() == [False, True] * 8


def test_a_hundred_thousand_copies_are_one_picture():
    rng = np.random.default_rng(0)
    looks = np.full((100_000, 6), 12345, np.uint64)
    looks[::1000] = rng.integers(0, 2**64, (100, 6), dtype=np.uint64)
    matches, crowded = within(made(looks, rng=rng), Rules(6))
    assert crowded == 0
    assert matches.any.sum() == 100_000 - 100 - 1
    assert set(matches.entry[matches.any].tolist()) == {1}


def test_flat_and_unreadable_images_match_exactly_or_not_at_all():
    rng = np.random.default_rng(0)
    own = made(np.zeros((6, 6), np.uint64), rng=rng)
    own["flat"] = [True, True, True, False, False, False]
    own["readable"][3:] = False
    own["pixels"][3:] = 0
    own[2]["pixels"] = own[0]["pixels"]
    own[5]["bytes"] = own[3]["bytes"]
    matches, _ = within(own, Rules(6))
    assert matches.entry.tolist() == [NONE, NONE, 0, NONE, NONE, 3]
    assert [HOW[how] for how in matches.how[matches.any]] == ["pixels", "bytes"]
    outer = Against(own[:3], Rules(6)).matches(own)
    assert outer.entry.tolist() == [0, 1, 2, NONE, NONE, NONE]
    assert [HOW[how] for how in outer.how[:3]] == ["bytes", "bytes", "bytes"]


def test_bytes_come_before_pixels_and_pixels_before_looks():
    rng = np.random.default_rng(0)
    others = made(rng.integers(0, 2**64, (3, 6), dtype=np.uint64), rng=rng)
    own = made(np.repeat(others["looks"][:1], 3, axis=0), rng=rng)
    own[1]["pixels"] = others[1]["pixels"]
    own[2]["pixels"] = others[1]["pixels"]
    own[2]["bytes"] = others[2]["bytes"]
    for rules in (Rules(6), Rules(0)):
        matches = Against(others, rules).matches(own)
        assert matches.entry.tolist() == [0, 1, 2]
        assert [HOW[how] for how in matches.how] == ["near", "pixels", "bytes"]
    exact = Against(others, Rules(None)).matches(own)
    assert exact.entry.tolist() == [NONE, 1, 2]


# Pictures


@pytest.fixture(scope="module")
def threads():
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture(scope="module")
def originals(threads):
    return prints([as_png(tile) for tile in tiles()], mapping=threads.map)


@pytest.mark.parametrize("change", CHANGES)
def test_recall_and_precision_on_made_pairs(threads, originals, change):
    """Nearly all pictures are matched with what they were made of (of 201 tiles 94 % of crops, 99 %
    and more of all else: docs/log), and none with another one."""
    copies = prints([CHANGES[change](tile) for tile in tiles()], mapping=threads.map)
    rules = Rules(6, flip=change == "mirrored")
    matches = Against(originals, rules).matches(copies)
    right = matches.entry == np.arange(len(tiles()))
    assert right.mean() >= 0.95
    assert not (matches.any & ~right).any()
    if change == "a crop of 5 %":
        plain = Against(originals, Rules(6, crop=False)).matches(copies)
        assert plain.any.mean() < 0.6  # what the parts are for
    if change == "mirrored":
        assert Against(originals, Rules(6)).matches(copies).any.mean() < 0.05


def test_a_larger_picture_matches_its_crop_as_well(threads, originals):
    crops = prints([pictures.crop(tile, seed=1) for tile in tiles()], mapping=threads.map)
    matches = Against(crops, Rules(6)).matches(originals)
    assert (matches.entry == np.arange(len(tiles()))).mean() >= 0.95


def test_prints_of_odd_images(threads):
    tile = tiles()[0]
    palette = tile.convert("P")
    images = [
        as_png(tile),
        as_png(tile)[:300],
        b"",
        b"GIF89a",
        as_png(palette),
        as_png(palette.convert("RGB")),
        as_png(Image.new("RGB", (1, 1))),
        as_png(tile.convert("L")),
    ]
    made_of = prints(images, mapping=threads.map)
    assert made_of["readable"].tolist() == [True, False, False, False, True, True, True, True]
    assert (made_of["looks"][1:4] == 0).all()
    assert made_of["flat"].tolist() == [False, True, True, True, False, False, True, False]
    assert (made_of["pixels"][4] == made_of["pixels"][5]).all()
    assert (made_of["bytes"][4] != made_of["bytes"][5]).all()
    assert made_of["looks"][7, 0] == made_of["looks"][0, 0]
    assert prints([], mapping=threads.map).shape == (0,)
