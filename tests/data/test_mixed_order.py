"""Orders by weights and by classes: exact counts, whole epochs, the same for all hosts."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitctl.data.batches import keys_of_steps
from vitctl.data.config import AugmentConfig
from vitctl.data.dataset import DatasetInfo, SplitInfo
from vitctl.data.mixed_order import Balanced, Mixed, interleaved
from vitctl.data.mixture import Mixture
from vitctl.data.mock import MockDataset
from vitctl.data.order import Shuffled, batch_indices, permute_each
from vitctl.data.parts import DatasetRef, MixtureInfo
from vitctl.data.pipeline import train_batches

seeds = st.integers(0, 2**64 - 1)
weights = st.lists(st.integers(1, 40), min_size=1, max_size=6).map(tuple)
mixed = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 9)), min_size=1, max_size=5).map(
    lambda parts: Mixed(tuple(Shuffled(n) for n, _ in parts), tuple(w for _, w in parts))
)
balanced = st.lists(st.integers(0, 6), min_size=1, max_size=60).map(
    lambda labels: Balanced(np.array(labels, np.int32))
)
nested = st.tuples(mixed, balanced).map(lambda pair: Mixed(pair, (2, 1)))
orders = mixed | balanced | nested


@settings(max_examples=30)
@given(weights)
def test_every_prefix_has_its_share_within_one(weights):
    sequence, before = interleaved(weights)
    total, counts = sum(weights), [0] * len(weights)
    for draw, part in enumerate(sequence.tolist(), start=1):
        assert before[draw - 1] == counts[part]
        counts[part] += 1
        for weight, count in zip(weights, counts, strict=True):
            assert abs(count - Fraction(draw * weight, total)) < 1
    assert tuple(counts) == weights


@settings(max_examples=25)
@given(orders, seeds, st.integers(1, 50), st.integers(0, 300), st.sampled_from([1, 2, 3, 8]))
def test_elastic(order, seed, batch, step, hosts):
    """A draw is the same whatever batch, step or host asks for it."""
    whole = batch_indices(order, seed=seed, batch=batch, step=step)
    for host in range(hosts):
        rows = np.arange(step * batch, (step + 1) * batch)[host::hosts]
        own = order.at(rows, seed=seed)
        assert np.array_equal(own.indices, whole.indices[host::hosts])
        assert np.array_equal(own.epochs, whole.epochs[host::hosts])
    one = [order.at(np.array([step * batch + i]), seed=seed) for i in range(batch)]
    assert [int(o.indices[0]) for o in one] == whole.indices.tolist()
    assert ((whole.indices >= 0) & (whole.indices < order.examples)).all()


@settings(max_examples=15)
@given(mixed, seeds)
def test_each_part_goes_through_its_epochs(order, seed):
    """Of a part, draw after draw, every example comes once before one comes again."""
    taken = order.at(np.arange(4 * sum(order.weights) * 8), seed=seed)
    offset = 0
    for part in order.parts:
        mine = (taken.indices >= offset) & (taken.indices < offset + part.examples)
        own, epochs = taken.indices[mine] - offset, taken.epochs[mine]
        assert np.array_equal(epochs, np.arange(len(own)) // part.examples)
        for begin in range(0, len(own), part.examples):
            block = own[begin : begin + part.examples].tolist()
            assert len(set(block)) == len(block)
        offset += part.examples


@settings(max_examples=25)
@given(balanced, seeds)
def test_classes_come_equally_often(order, seed):
    labels = order._labels
    classes = np.unique(labels)
    draws = 7 * len(classes)
    taken = order.at(np.arange(draws), seed=seed)
    for n in range(1, draws + 1):
        counts = Counter(labels[taken.indices[:n]].tolist())
        assert max(counts.values()) - min(counts.get(c, 0) for c in classes.tolist()) <= 1
    for number in classes.tolist():
        own = taken.indices[labels[taken.indices] == number]
        size = int((labels == number).sum())
        for begin in range(0, len(own), size):
            assert len(set(own[begin : begin + size].tolist())) == len(own[begin : begin + size])


@settings(max_examples=15)
@given(orders, st.data())
def test_a_restricted_order_is_of_those_examples(order, data):
    taken = data.draw(st.lists(st.booleans(), min_size=order.examples, max_size=order.examples))
    rows = np.flatnonzero(taken).astype(np.uint32)
    if not len(rows):
        return
    part = order.restricted(rows)
    assert part.examples == len(rows)
    drawn = part.at(np.arange(40 * 60), seed=1).indices
    assert ((drawn >= 0) & (drawn < len(rows))).all()


def test_a_restricted_mixture_keeps_its_weights():
    order = Mixed((Shuffled(10), Shuffled(10), Shuffled(10)), (1, 2, 1))
    part = order.restricted(np.array([0, 3, 20, 25, 26]))  # nothing of the second is left
    taken = part.at(np.arange(100), seed=0).indices
    assert ((taken < 2).sum(), (taken >= 2).sum()) == (50, 50)


@settings(max_examples=15)
@given(st.lists(st.integers(1, 500), min_size=1, max_size=6), seeds)
def test_permutations_of_several_sizes_at_once(sizes, seed):
    positions = np.concatenate([np.arange(n) for n in sizes])
    examples = np.repeat(np.array(sizes, np.int64), sizes)
    streams = np.repeat(np.arange(len(sizes)), sizes)
    epochs = np.full(len(positions), 3)
    moved = permute_each(positions, examples=examples, streams=streams, seed=seed, epochs=epochs)
    for number, size in enumerate(sizes):
        assert sorted(moved[streams == number].tolist()) == list(range(size))


def test_orders_are_frozen():
    """These numbers may never change: runs that are under way depend on them."""
    order = Mixed((Shuffled(5), Shuffled(3)), (2, 1))
    assert order.at(np.arange(9), seed=0).indices.tolist() == [1, 6, 4, 3, 5, 0, 2, 7, 4]
    order = Balanced(np.array([0, 1, 1, 1, 2, 2], np.int32))
    assert order.at(np.arange(9), seed=0).indices.tolist() == [3, 5, 0, 0, 1, 4, 2, 0, 4]


REF = DatasetRef(id="0" * 64, digest="0" * 64)


def mixture(weights=(7, 3), *, balanced=False):
    parts = (
        MockDataset(classes=3, train_examples=50, val_examples=5),
        MockDataset(classes=4, train_examples=20, val_examples=6, seed=1),
    )
    info = DatasetInfo(
        classes=("3", "2", "1", "0"),
        splits={
            "train": SplitInfo(shard_lengths=(70,), record_bytes=0),
            "val": SplitInfo(shard_lengths=(11,), record_bytes=0),
        },
        mixture=MixtureInfo(datasets=(REF, REF), weights=weights, balanced=balanced),
    )
    return Mixture(parts, info), parts


def test_a_mixture_is_its_parts_one_after_the_other_with_classes_by_name():
    source, parts = mixture()
    assert np.array_equal(source.keys("train"), np.concatenate([p.keys("train") for p in parts]))
    labels = np.concatenate([p.labels("train") for p in parts])
    assert np.array_equal(source.labels("train"), 3 - labels)
    assert source.ids("train", np.array([0, 60])) == [None, None]


@pytest.mark.parametrize("step", [0, 5, 1000])
def test_the_digest_and_the_feed_ask_the_same_order(step):
    source, parts = mixture()
    keys = keys_of_steps(source, split="train", seed=5, batch=10)(step)
    assert np.isin(keys, parts[0].keys("train")).sum() == 7
    order = batch_indices(source.order("train"), seed=5, batch=10, step=step)
    assert np.array_equal(keys, np.asarray(source.keys("train"))[order.indices])


def test_a_plain_union_draws_every_image_once_an_epoch():
    source, _ = mixture(None)
    keys = keys_of_steps(source, split="train", seed=5, batch=70)
    assert sorted(keys(3).tolist()) == sorted(np.asarray(source.keys("train")).tolist())


class Fed(Mixture):
    """Images are their positions: what a model is fed is compared without decoding."""

    def images(self, requests, *, split, view, batch, workers=None, clock=None):
        for positions, _ in requests:
            yield np.broadcast_to(positions[:, None, None, None], (len(positions), 1, 1, 3)).astype(
                np.float32
            )


@pytest.mark.parametrize("hosts", [1, 2, 5])
@pytest.mark.parametrize("kind", [{}, {"weights": None}, {"weights": None, "balanced": True}])
def test_hosts_feed_parts_of_the_same_global_batches(hosts, kind):
    source, parts = mixture(**kind)
    source = Fed(parts, source.info)

    def fed(rows):
        stream = train_batches(
            source, resolution=1, augment=AugmentConfig(), seed=2, batch=10, start_step=4, rows=rows
        )
        return next(stream)

    whole = fed(slice(None))
    for host in range(hosts):
        rows = np.arange(host, 10, hosts)
        own = fed(rows)
        assert np.array_equal(own.images, whole.images[rows])
        assert np.array_equal(own.keys, whole.keys)
        assert np.array_equal(own.labels, whole.labels)
