"""Which images a subset takes, against plain Python over the same hashes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitctl.data import selection
from vitctl.data.example import Example, encode_example
from vitctl.data.mock import MockDataset
from vitctl.data.order import sample_key
from vitctl.errors import InputError

keys = st.integers(1, 60).flatmap(
    lambda n: st.tuples(
        st.just(np.arange(n, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)),
        st.lists(st.booleans(), min_size=n, max_size=n).map(lambda bits: np.array(bits, bool)),
        st.lists(st.integers(0, 4), min_size=n, max_size=n).map(
            lambda labels: np.array(labels, np.int32)
        ),
    )
)
seeds = st.integers(0, 2**64 - 1)


@settings(max_examples=60)
@given(keys, seeds, st.integers(0, 60), st.integers(0, 60))
def test_smaller_subsets_lie_inside_larger_ones(images, seed, a, b):
    of, candidates, labels = images
    few, many = sorted([a, b])
    small = selection.first(candidates, keys=of, count=few, seed=seed)
    large = selection.first(candidates, keys=of, count=many, seed=seed)
    assert small.sum() == min(few, candidates.sum())
    assert (large[small]).all()
    assert candidates[large].all()
    small, large = (
        selection.first_per_class(candidates, keys=of, labels=labels, count=count, seed=seed)
        for count in (few, many)
    )
    assert large[small].all()
    for label in range(5):
        available = (candidates & (labels == label)).sum()
        assert (small & (labels == label)).sum() == min(few, available)


def test_the_choice_is_frozen():
    """These rows may never change: subsets that were made are found again by their settings."""
    of = np.arange(12, dtype=np.uint64)
    mask = selection.first(np.ones(12, bool), keys=of, count=5, seed=0)
    assert np.flatnonzero(mask).tolist() == [2, 3, 4, 8, 10]


def test_the_choice_follows_keys_and_not_positions():
    """An image keeps its place in the ranking when others are added or the order changes."""
    of = np.random.default_rng(0).integers(0, 2**63, 2000).astype(np.uint64)
    taken = set(of[selection.first(np.ones(2000, bool), keys=of, count=300, seed=4)])
    shuffled = of[::-1]
    assert taken == set(
        shuffled[selection.first(np.ones(2000, bool), keys=shuffled, count=300, seed=4)]
    )
    other = set(of[selection.first(np.ones(2000, bool), keys=of, count=300, seed=5)])
    assert 20 < len(taken & other) < 75  # 45 expected of independent draws, deviation 6


def test_classes_and_ids():
    labels = np.array([[0, -1], [1, 2], [2, -1], [-1, -1]], np.int32)
    assert selection.with_classes(labels, {0, 2}).tolist() == [True, True, True, False]
    of = {"train": np.array([sample_key(f"train/{i}") for i in range(4)], np.uint64)}
    of["val"] = np.array([sample_key("val/0")], np.uint64)
    masks = selection.with_ids(of, ["train/2", "train/0", "train/2"])
    assert masks["train"].tolist() == [True, False, True, False]
    assert not masks["val"].any()
    with pytest.raises(InputError, match=r"2 of 3 ids belong to no image: '(x|y)', '(x|y)'"):
        selection.with_ids(of, ["x", "val/0", "y"])


class Examples:
    """Records of a split in memory."""

    def __init__(self, images):
        self.records = [encode_example(Example(image, (0,), str(i))) for i, image in images]

    def read(self, indices):
        return [self.records[i] for i in indices]

    def locate(self, index):
        return "memory", index

    def close(self):
        """Nothing is open."""


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 1), st.booleans()), max_size=30),
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 1), st.booleans()), max_size=30),
)
def test_exact_duplicates(val, train):
    rows = {"val": val, "train": train}

    class Source(MockDataset):
        def records(self, split):
            return Examples(enumerate(content.encode() for content, _, _ in rows[split]))

        def labels(self, split):
            return np.array([label for _, label, _ in rows[split]], np.int32).reshape(-1, 1)

    masks = {split: np.array([c for *_, c in of], bool) for split, of in rows.items()}
    unique = selection.unique(Source(), masks)
    first, conflicting, repeated = {}, 0, 0
    for split in ("val", "train"):
        expected = []
        for content, label, candidate in rows[split]:
            expected.append(candidate and content not in first)
            if candidate and content in first:
                repeated += 1
                conflicting += first[content] != label
            if candidate:
                first.setdefault(content, label)
        assert unique.masks[split].tolist() == expected
    assert (unique.repeated, unique.conflicting) == (repeated, conflicting)
