from __future__ import annotations

import itertools

import numpy as np

from vitctl.data.batches import ALL, keys_of_steps
from vitctl.data.config import AugmentConfig, EvalPreprocess
from vitctl.data.mock import MockDataset
from vitctl.data.order import Window
from vitctl.data.pipeline import eval_batches, train_batches

DATASET = MockDataset(classes=5, train_examples=100, val_examples=23)


def batches(first_step, count, batch=16, rows=ALL, passed=()):
    stream = train_batches(
        DATASET,
        resolution=10,
        augment=AugmentConfig(),
        seed=3,
        batch=batch,
        start_step=first_step,
        rows=rows,
        passed=passed,
    )
    return list(itertools.islice(stream, count))


def test_resuming_gives_the_same_batches():
    whole, resumed = batches(0, 9), batches(5, 4)
    for a, b in zip(whole[5:], resumed, strict=True):
        assert a.step == b.step
        for field in ("images", "labels", "keys", "epochs"):
            assert np.array_equal(getattr(a, field), getattr(b, field))


def test_a_window_that_was_passed_over_is_left_out():
    whole = batches(0, 12)
    passed = (Window(step=2, batches=3), Window(step=6, batches=1))
    through = batches(0, 8, passed=passed)
    assert [batch.step for batch in through] == list(range(8))
    assert [batch.number for batch in through] == [0, 1, 5, 6, 7, 8, 10, 11]
    for batch in through:
        for field in ("images", "labels", "keys", "epochs"):
            assert np.array_equal(getattr(batch, field), getattr(whole[batch.number], field))
    keys_of = keys_of_steps(DATASET, split="train", seed=3, batch=16, passed=passed)
    assert all(np.array_equal(keys_of(batch.step), batch.keys) for batch in through)
    assert np.array_equal(batches(5, 1, passed=passed)[0].images, through[5].images)


def test_processes_see_their_part():
    whole = batches(0, 3)
    parts = [batches(0, 3, rows=rows) for rows in (slice(0, 8), slice(8, 16))]
    for step in range(3):
        joined = np.concatenate([part[step].images for part in parts])
        assert np.array_equal(joined, whole[step].images)
        for part in parts:
            assert np.array_equal(part[step].labels, whole[step].labels)
            assert np.array_equal(part[step].keys, whole[step].keys)


def test_a_process_may_read_scattered_rows():
    """A mesh laid out for the network may give a process's devices rows from all over the batch."""
    rows = np.array([1, 2, 7, 12])
    whole, part = batches(2, 2), batches(2, 2, rows=rows)
    for one, some in zip(whole, part, strict=True):
        images, labels = some.local
        assert np.array_equal(images, one.images[rows])
        assert np.array_equal(labels, one.labels[rows])


def test_values_and_shapes():
    batch = batches(0, 1)[0]
    assert batch.images.shape == (16, 10, 10, 3)
    assert batch.images.dtype == np.float32
    assert -1 <= batch.images.min() < -0.5
    assert 0.5 < batch.images.max() <= 1
    assert batch.labels.shape == (16, 1)


def test_scoring_sees_every_example_once():
    for size in (4, 23, 64):
        result = list(
            eval_batches(
                DATASET, split="val", resolution=8, preprocess=EvalPreprocess(), batch=size
            )
        )
        indices = np.concatenate([batch.indices[batch.mask] for batch in result])
        assert np.array_equal(indices, np.arange(23))
        assert all(len(batch.images) == size for batch in result)
        masked = np.concatenate([batch.labels[~batch.mask] for batch in result])
        assert (masked == -1).all()


def test_a_linear_model_can_learn_it():
    """So that a loss over mock data can fall: least squares on pixels, held-out accuracy."""

    def arrays(split, n):
        stream = eval_batches(
            DATASET, split=split, resolution=8, preprocess=EvalPreprocess(), batch=n
        )
        result = next(stream)
        return result.images.reshape(n, -1).astype(np.float64), result.labels[:, 0]

    images, labels = arrays("train", 100)
    weights = np.linalg.lstsq(images, np.eye(5)[labels], rcond=None)[0]
    images, labels = arrays("val", 23)
    assert ((images @ weights).argmax(1) == labels).mean() > 0.9
