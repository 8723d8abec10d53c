from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitctl.data.mixed_order import Balanced, Mixed
from vitctl.data.order import (
    Shuffled,
    Window,
    augment_seeds,
    batch_indices,
    batch_of_step,
    batches_of_order,
    mix64,
    permute,
    sample_key,
)
from vitctl.errors import UsageError

seeds = st.integers(0, 2**64 - 1)


@settings(max_examples=40)
@given(examples=st.integers(1, 3000), seed=seeds, epoch=st.integers(0, 10**6))
def test_each_epoch_is_a_permutation(examples, seed, epoch):
    order = permute(np.arange(examples), examples=examples, seed=seed, epochs=epoch)
    assert np.array_equal(np.sort(order), np.arange(examples))


@settings(max_examples=40)
@given(
    examples=st.integers(1, 200),
    batch=st.integers(1, 100),
    seed=seeds,
    first_step=st.integers(0, 1000),
)
def test_batches_are_consecutive_cuts_of_the_epochs(examples, batch, seed, first_step):
    """Replayed from any step, whatever the batch size: position p holds the same example."""
    steps = [
        batch_indices(Shuffled(examples), seed=seed, batch=batch, step=first_step + i)
        for i in (0, 1)
    ]
    indices = np.concatenate([step.indices for step in steps])
    epochs = np.concatenate([step.epochs for step in steps])
    for offset in {0, batch - 1, batch, 2 * batch - 1}:
        one = batch_indices(
            Shuffled(examples), seed=seed, batch=1, step=first_step * batch + offset
        )
        assert (one.indices[0], one.epochs[0]) == (indices[offset], epochs[offset])


def test_an_epoch_of_batches_sees_every_example_once():
    steps = [batch_indices(Shuffled(60), seed=5, batch=12, step=t) for t in range(10)]
    for epoch in (0, 1):
        part = steps[5 * epoch : 5 * epoch + 5]
        assert {int(e) for step in part for e in step.epochs} == {epoch}
        assert sorted(int(i) for step in part for i in step.indices) == list(range(60))


def test_seeds_out_of_range_are_refused():
    with pytest.raises(UsageError):
        permute([0], examples=2, seed=-1, epochs=0)


@pytest.mark.parametrize("examples", [2, 3, 4, 5])
def test_small_orders_are_uniform(examples):
    """Chi-square of all n! orders over 12,000 epochs; 5 sigma of its distribution."""
    orders = permute(
        np.arange(examples), examples=examples, seed=7, epochs=np.arange(12000)[:, None]
    )
    _, counts = np.unique(orders, axis=0, return_counts=True)
    cells = np.prod(np.arange(1, examples + 1))
    assert len(counts) == cells
    expected = 12000 / cells
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert chi2 < (cells - 1) + 5 * np.sqrt(2 * (cells - 1))


def test_epochs_and_seeds_are_unrelated():
    """Equal places in two orders of 5000: Poisson with mean 1."""
    base = permute(np.arange(5000), examples=5000, seed=1, epochs=0)
    for seed, epoch in ((1, 1), (2, 0), (1, 2**40), (2**63, 0)):
        other = permute(np.arange(5000), examples=5000, seed=seed, epochs=epoch)
        assert (base == other).sum() < 10
    # Neighbours in the order are not neighbours in the dataset.
    assert abs(np.corrcoef(base[:-1], base[1:])[0, 1]) < 5 / np.sqrt(5000)


def test_order_is_frozen():
    """These numbers may never change: runs that are under way depend on them."""
    order = permute(np.arange(10), examples=10, seed=0, epochs=[[0], [1]])
    assert order.tolist() == [[4, 9, 5, 6, 8, 3, 1, 2, 0, 7], [1, 5, 6, 7, 8, 0, 9, 3, 4, 2]]


def test_mix64_is_splitmix64():
    """The published first outputs of SplitMix64 from seed 1234567 (state += golden; finalise)."""
    golden = 0x9E3779B97F4A7C15
    states = [(1234567 + i * golden) % 2**64 for i in (1, 2, 3)]
    outputs = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert mix64(np.array(states, np.uint64)).tolist() == outputs


@given(seed=seeds, epoch=st.integers(0, 1000), n=st.integers(2, 50))
def test_augmentation_seeds_follow_the_sample(seed, epoch, n):
    keys = np.array([sample_key(f"image {i}") for i in range(n)], np.uint64)
    epochs = np.full(n, epoch)
    seeds_of_all = augment_seeds(seed=seed, epochs=epochs, keys=keys)
    assert seeds_of_all.dtype == np.int32
    assert seeds_of_all.shape == (n, 2)
    back = augment_seeds(seed=seed, epochs=epochs[::-1], keys=keys[::-1])[::-1]
    assert np.array_equal(seeds_of_all, back)
    assert len({tuple(row) for row in seeds_of_all.tolist()}) == n
    later = augment_seeds(seed=seed, epochs=epochs + 1, keys=keys)
    assert not (seeds_of_all == later).all(axis=1).any()


def test_sample_key_is_the_start_of_sha256():
    text = "katze/ü.jpg"
    assert sample_key(text).to_bytes(8, "little") == hashlib.sha256(text.encode()).digest()[:8]


windows = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=4).map(sorted)


@given(passed=windows, steps=st.integers(1, 120))
def test_passing_over_windows_is_leaving_batches_out(passed, steps):
    """Against a loop that takes batches one by one and throws those of a window away."""
    left = [Window(*pair) for pair in passed]
    number, taken = 0, []
    for step in range(steps):
        number += sum(window.batches for window in left if window.step == step)
        taken.append(number)
        number += 1
    assert [batch_of_step(step, passed=left) for step in range(steps)] == taken


@pytest.mark.parametrize("batch", [1, 3, 5000])
@pytest.mark.parametrize(
    "order",
    [
        Shuffled(5),
        Shuffled(1000),
        Mixed((Shuffled(7), Shuffled(30)), (2, 1)),
        Balanced(np.arange(40, dtype=np.int32) % 7),
    ],
    ids=["tiny", "plain", "mixed", "balanced"],
)
def test_batches_computed_together_are_those_computed_alone(order, batch):
    """Also where training passed over some, so that their numbers jump."""
    numbers = [0, 1, 2, 5, 6, *range(10, 30)]
    batches = list(batches_of_order(order, numbers, seed=3, batch=batch))
    assert [number for number, _ in batches] == numbers
    for number, some in batches:
        alone = batch_indices(order, seed=3, batch=batch, step=number)
        assert np.array_equal(some.epochs, alone.epochs)
        assert np.array_equal(some.indices, alone.indices)


def test_batches_are_computed_as_they_are_asked_for():
    """Of an endless sequence of numbers, the first batch from the first number alone."""
    taken = []
    stream = batches_of_order(
        Shuffled(9), (taken.append(n) or n for n in range(100)), seed=0, batch=4
    )
    next(stream)
    assert taken == [0]
