"""Lookups by nearness, against comparing each with each."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitctl.duplicates import bands
from vitctl.duplicates.bands import Lookup


def brute(hashes, queries, distance):
    differ = np.bitwise_count(queries[:, None] ^ hashes[None])
    return {(q, e, differ[q, e]) for q, e in np.argwhere(differ <= distance).tolist()}


def pairs(lookup, queries):
    out = set()
    for query, entry, bits in lookup.near(queries):
        out |= set(zip(query.tolist(), entry.tolist(), bits.tolist(), strict=True))
    return out


def near_hashes(rng, *, clusters, each, most):
    """Around each of some random hashes several that differ from it in up to `most` bits."""
    centres = rng.integers(0, 2**64, clusters, dtype=np.uint64)
    out = []
    for centre in centres:
        for _ in range(each):
            flips = rng.choice(64, rng.integers(0, most + 1), replace=False)
            out.append(int(centre) ^ sum(1 << int(bit) for bit in flips))
    return np.array(out, np.uint64)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 16), st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(0, 40))
def test_as_comparing_all(distance, seed, count, queries):
    rng = np.random.default_rng(seed)
    pool = near_hashes(rng, clusters=6, each=20, most=10)
    hashes, requests = rng.choice(pool, count), rng.choice(pool, queries)
    assert pairs(Lookup(hashes, distance), requests) == brute(hashes, requests, distance)


@pytest.mark.parametrize("distance", [0, 1, 4, 6, 8, 10])
def test_of_many(distance):
    rng = np.random.default_rng(distance)
    hashes = np.unique(near_hashes(rng, clusters=700, each=6, most=12))
    queries = hashes[::17]
    assert pairs(Lookup(hashes, distance), queries) == brute(hashes, queries, distance)


@pytest.mark.parametrize("hashes", [1, 10**4, 10**6, 10**9])
@pytest.mark.parametrize("distance", range(17))
def test_bands_cover_the_bits_and_miss_no_pair(distance, hashes):
    """If every band differed in more than its radius, more than `distance` bits would differ."""
    cut = bands.cut(distance, hashes=hashes)
    assert all(width <= 22 for _, width, _ in cut)
    assert sum(radius + 1 for _, _, radius in cut) > distance
    ranges = sorted((shift, shift + width) for shift, width, _ in cut)
    assert all(high <= low for (_, high), (low, _) in pairwise(ranges))


def test_a_crowded_bucket_is_skipped_and_counted(monkeypatch):
    monkeypatch.setattr(bands, "MOST_IN_BUCKET", 100)
    rng = np.random.default_rng(0)
    # All of these have their lower 32 bits in common.
    hashes = (rng.integers(0, 2**32, 500, dtype=np.uint64) << np.uint64(32)) | np.uint64(77)
    lookup = Lookup(hashes, 2)
    queries = hashes ^ (np.uint64(1) << np.uint64(63))
    near = pairs(lookup, queries)
    assert lookup.crowded > 0
    assert near <= brute(hashes, queries, 2)
    # Other bands of theirs are looked up still.
    assert {(i, i, 1) for i in range(500)} <= near


def test_blocks_are_bounded(monkeypatch):
    monkeypatch.setattr(bands, "_BLOCK", 1000)
    rng = np.random.default_rng(1)
    hashes = near_hashes(rng, clusters=1, each=300, most=3)
    lookup = Lookup(hashes, 6)
    blocks = [len(query) for query, _, _ in lookup.near(hashes)]
    assert max(blocks) <= 1000 + 300
    assert pairs(lookup, hashes) == brute(hashes, hashes, 6)
