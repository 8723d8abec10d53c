"""Images that a model was trained on, by the rows of one stored dataset."""

from __future__ import annotations

import numpy as np
import pytest

from stages import api
from tests import made
from tests.artifacts.making import dataset
from vitctl.artifacts import Store
from vitctl.data.held_out import hold_out
from vitctl.data.opening import open_dataset
from vitctl.recipes import trained_records as records
from vitctl.recipes.overlap import TrainingSplit
from vitctl.recipes.searches import SplitOf


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def after(store, monkeypatch):
    """What is known of a model that was trained on these images."""

    def known(subject, split, *trainings):
        monkeypatch.setattr(records, "trainings", lambda checkpoint, store: iter(trainings))
        return records.trained_records(
            made.checkpoint(store, saved=False), subject, split=split, store=store
        )

    return known


def training(images, split="train", held_out=None):
    return TrainingSplit(SplitOf(images, split), held_out)


def subset(data, images, *, store, seed=0):
    return api.subset(data, set={"images": images, "seed": seed}, store=store)


def test_the_very_split(store, after):
    data = dataset(store)
    known = after(data, "train", training(data))
    assert known.mask.tolist() == [True] * 6
    assert known.complete
    assert not after(data, "val", training(data)).mask.any()


def test_subsets_share_rows(store, after):
    data = dataset(store)
    first, second = (subset(data, 4, store=store, seed=seed) for seed in (0, 1))
    rows = [set(np.asarray(open_dataset(one).keys("train")).tolist()) for one in (first, second)]
    known = after(second, "train", training(first))
    assert known.mask.sum() == len(rows[0] & rows[1])
    assert 0 < known.mask.sum() < 4  # the seeds were chosen so
    assert after(data, "train", training(first)).mask.sum() == 4
    assert after(first, "train", training(data)).mask.all()
    both = after(data, "train", training(first), training(second))
    assert both.mask.sum() == len(rows[0] | rows[1])


def test_what_is_held_out_is_not_trained_on(store, after):
    data = dataset(store)
    known = after(data, "train", training(data, held_out=0.5))
    images = hold_out(open_dataset(data), split="train", share=0.5).scored
    keys = np.asarray(open_dataset(data).keys("train"))
    np.testing.assert_array_equal(~known.mask, np.isin(keys, np.asarray(images.keys("train"))))
    assert known.mask.sum() == 3


def test_other_datasets_say_nothing(store, after):
    data, other = dataset(store), dataset(store, name="drawings", other=True)
    mixed = api.mix(data, other, store=store)
    assert after(data, "train", training(other)) is None
    assert after(data, "train", None) is None
    assert after(mixed, "train", training(data)) is None
    assert after(data, "train") is None
    # Trained on another one, too: what is known is the least.
    known = after(data, "train", training(data), training(other))
    assert known.mask.all()
    assert not known.complete
    assert not after(data, "train", training(data), None).complete
