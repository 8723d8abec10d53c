"""Which images are held out: the same for every run, spread over classes, trained on by none."""

from __future__ import annotations

import numpy as np
import pytest

from vitctl.data import held_out
from vitctl.data.config import HELD_OUT
from vitctl.data.held_out import held_out_rows, hold_out
from vitctl.data.mock import MockDataset
from vitctl.data.order import hash64
from vitctl.errors import UsageError
from vitctl.settings.overrides import build
from vitctl.train.config import DataConfig


def images(n: int, classes: int, *, seed: int = 0):
    rng = np.random.default_rng(seed)
    keys = rng.integers(0, 2**63, n, dtype=np.uint64)
    weights = 0.6 ** np.arange(classes)
    labels = rng.choice(classes, n, p=weights / weights.sum()).astype(np.int32)
    return keys, labels[:, None]


@pytest.mark.parametrize(("n", "share"), [(1000, 0.2), (5000, 0.02), (37, 0.5), (800, 0.01)])
def test_a_class_gets_its_share_to_within_one_image(n, share):
    keys, labels = images(n, 7)
    rows = held_out_rows(keys, labels, share=share)
    assert len(rows) == len({*rows.tolist()}) == round(share * n)
    assert (np.diff(rows) > 0).all()
    for label, count in enumerate(np.bincount(labels[:, 0], minlength=7)):
        assert abs((labels[rows, 0] == label).sum() - share * count) <= 1


def test_the_same_images_are_held_out_wherever_they_lie():
    keys, labels = images(500, 5)
    rows = held_out_rows(keys, labels, share=0.1)
    order = np.random.default_rng(1).permutation(500)
    again = held_out_rows(keys[order], labels[order], share=0.1)
    assert {*keys[rows].tolist()} == {*keys[order][again].tolist()}


@pytest.mark.parametrize("seed", range(5))
def test_an_image_that_occurs_several_times_is_on_one_side_with_all_of_them(seed):
    """As in a mixture of datasets that overlap: its copies were held out one by one, so others
    were trained on, and what was held out was known."""
    keys, labels = images(400, 5, seed=seed)
    rng = np.random.default_rng(seed)
    rows = np.concatenate([np.arange(400), rng.integers(0, 400, 300)])
    rng.shuffle(rows)
    chosen = held_out_rows(keys[rows], labels[rows], share=0.1)
    held_out, trained = {*keys[rows][chosen].tolist()}, {*np.delete(keys[rows], chosen).tolist()}
    assert not held_out & trained
    assert len(chosen) == len({*chosen.tolist()})
    # The same ones as where each occurs once: copies do not weigh.
    assert held_out == {*keys[held_out_rows(keys, labels, share=0.1)].tolist()}


def test_where_none_occurs_twice_the_choice_is_what_it_was():
    """Runs that were begun are continued: the rule, written out with sorted lists of Python."""
    keys, labels = images(300, 4)
    order = hash64(0, keys, tag=5).tolist()
    ordered = sorted(range(300), key=lambda row: (labels[row, 0], order[row]))
    expected = sorted(ordered[int((i + 0.5) * 10)] for i in range(30))
    rows = held_out_rows(keys, labels, share=0.1)
    assert (rows.dtype, rows.tolist()) == (np.int64, expected)


def test_within_a_class_they_are_not_the_first_ones():
    keys, labels = images(2000, 1)
    rows = held_out_rows(np.sort(keys), labels, share=0.1)
    # Uniform positions: mean 1000, deviation of the mean of 200 of them 577 / sqrt(200) = 41.
    assert abs(rows.mean() - 1000) < 4 * 41


def test_what_is_scored_is_not_trained_on_and_other_splits_stay():
    source = MockDataset(classes=3, train_examples=60, val_examples=9)
    parts = hold_out(source, split="train", share=0.1)
    assert (parts.info.examples("train"), parts.info.examples(HELD_OUT)) == (54, 6)
    trained, scored = (np.asarray(parts.keys(split)) for split in ("train", HELD_OUT))
    every = np.asarray(source.keys("train"))
    assert sorted([*trained, *scored]) == sorted(every)
    np.testing.assert_array_equal(parts.keys("val"), source.keys("val"))
    position_of = {key: at for at, key in enumerate(every.tolist())}
    for split, keys in (("train", trained), (HELD_OUT, scored)):
        rows = [position_of[key] for key in keys.tolist()]
        np.testing.assert_array_equal(
            np.asarray(parts.labels(split)), np.asarray(source.labels("train"))[rows]
        )
        assert parts.order(split).examples == len(rows)
        assert list(parts.ids(split, np.arange(len(rows)))) == list(
            source.ids("train", np.asarray(rows))
        )


def test_one_image_at_least_is_held_out_and_one_trained_on():
    source = MockDataset(classes=2, train_examples=3, val_examples=1)
    assert hold_out(source, split="train", share=0.01).info.examples(HELD_OUT) == 1
    with pytest.raises(UsageError, match="leaves none to train on"):
        hold_out(source, split="train", share=0.9)


@pytest.mark.parametrize(
    "settings", [{"eval_split": HELD_OUT}, {"split": HELD_OUT, "held_out": 0.1}]
)
def test_settings_that_hold_out_nothing_or_train_on_it_are_refused(settings):
    with pytest.raises(UsageError, match="held-out"):
        build(DataConfig, {"batch": 4, **settings})


def test_settings_of_before_are_recorded_as_before():
    assert "held_out" not in DataConfig(batch=4).model_dump()
    assert held_out.HELD_OUT == "held-out"
