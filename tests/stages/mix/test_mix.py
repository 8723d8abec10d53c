"""`vitctl mix`: datasets as one, a dataset like any other."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from stages import api
from stages.inspect.verify.checks import of_entry
from stages.mix.weights import MOST_DRAWS, as_draws, split_weight
from tests.artifacts.making import dataset, formula_options
from vitctl.artifacts import Store
from vitctl.artifacts.kinds import DATASET
from vitctl.data.batches import keys_of_steps
from vitctl.data.example import decode_example
from vitctl.data.opening import open_dataset
from vitctl.errors import InputError, UsageError
from vitctl.events import Caution, Note, silent
from vitctl.formula.family import FormulaConfig
from vitctl.ingest.choices import Choices
from vitctl.ingest.sources.artifact import list_artifact


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Store(tmp_path / "store")


@pytest.fixture
def photos(store):
    return dataset(store, images=12)


@pytest.fixture
def drawings(store):
    return dataset(store, images=6, name="drawings", other=True)


@pytest.fixture
def formula(store):
    config = FormulaConfig(family="atom", classes=4, per_class=5, val_per_class=1, resolution=40)
    return api.shard("formula", **formula_options(config), virtual=True, store=store)


def mix(*parts, store, weights=None, emit=silent, **settings):
    return api.mix(*parts, weights=weights, store=store, set=settings, emit=emit)


def test_by_weight(store, photos, drawings):
    events = []
    both = mix(photos, drawings, weights=[0.75, 0.25], store=store, emit=events.append)
    assert [file.name for file in sorted(both.path.glob("*.json"))] == [
        "artifact.json",
        "dataset.json",
    ]
    assert DATASET.summary(both).examples == {"train": 18, "val": 18}
    source = open_dataset(both)
    assert source.info.classes == ("cat", "dog")
    assert source.info.mixture.weights == (3, 1)
    order = source.order("train").at(np.arange(400), seed=1).indices
    assert ((order < 12).sum(), (order >= 12).sum()) == (300, 100)
    said = [event.text for event in events if isinstance(event, Note)]
    assert said[0] == ("photos: 75.0% of the draws, 12 images, each 1.1 times an epoch of 18 draws")
    assert mix(photos, drawings, weights=["3", "1"], store=store).path == both.path
    verdict = of_entry(both, store=store, depth="contents", emit=silent)
    assert (verdict.whole, verdict.records) == (True, 36)


def test_without_weights_every_image_comes_once_an_epoch(store, photos, drawings):
    source = open_dataset(mix(photos, drawings, store=store))
    order = source.order("train").at(np.arange(18), seed=4).indices
    assert sorted(order.tolist()) == list(range(18))


def test_by_temperature(store, photos, drawings):
    by_size = open_dataset(mix(photos, drawings, store=store, temperature=1.0))
    assert np.isclose(by_size.info.mixture.weights[0] / sum(by_size.info.mixture.weights), 2 / 3)
    even = open_dataset(mix(photos, drawings, store=store, temperature=1e9))
    assert even.info.mixture.weights == (1, 1)


def test_of_stored_and_made_pictures_united_by_name(store, photos, formula):
    both = mix(photos, formula, weights=[1, 1], store=store)
    source = open_dataset(both)
    assert source.info.classes[:2] == ("cat", "dog")
    assert len(source.info.classes) == 6
    labels = source.labels("train")
    assert labels[np.array([0, 1, 12, 13])][:, 0].tolist() == [0, 1, 2, 3]
    names = source.ids("train", np.array([1, 12]))
    records = source.records("train")
    assert [decode_example(r).id for r in records.read(np.array([1, 12]))] == names
    keys = keys_of_steps(source, split="train", seed=0, batch=8)(3)
    assert np.isin(keys, np.asarray(source.keys("train"))).all()
    assert of_entry(both, store=store, depth="contents", emit=silent).whole


def test_balance(store, photos):
    skewed = api.subset(photos, exclude_ids=[f"train/{i}" for i in (1, 3, 5, 7)], store=store)
    source = open_dataset(mix(skewed, store=store, balance=True))
    labels = np.asarray(source.labels("train"))[:, 0]
    assert np.bincount(labels).tolist() == [6, 2]
    order = source.order("train").at(np.arange(100), seed=4).indices
    assert np.bincount(labels[order]).tolist() == [50, 50]


def test_it_is_a_dataset_for_subset_mix_and_shard(store, photos, drawings):
    both = mix(photos, drawings, weights=[3, 1], store=store)
    part = open_dataset(api.subset(both, store=store, set={"images": 9}))
    theirs = (part.rows["train"] >= 12).sum()
    order = part.order("train").at(np.arange(400), seed=0).indices
    assert (order >= 9 - theirs).sum() == 100  # the weights are those of the mixture
    again = open_dataset(mix(both, drawings, weights=[1, 1], store=store))
    order = again.order("train").at(np.arange(800), seed=0).indices
    assert np.bincount(np.searchsorted([12, 18], order, side="right")).tolist() == [300, 100, 400]
    entries = list_artifact(str(both.path), Choices()).entries
    assert len(entries) == 36


def test_what_is_refused(store, photos, drawings, formula):
    with pytest.raises(UsageError, match="one dataset is no mixture"):
        mix(photos, store=store)
    with pytest.raises(UsageError, match="and weights are two ways"):
        mix(photos, drawings, weights=[1, 2], store=store, balance=True)
    with pytest.raises(UsageError, match=r"2 datasets have 1 weight$"):
        mix(photos, drawings, weights=[1], store=store)
    with pytest.raises(UsageError, match="a weight must be above 0"):
        mix(photos, drawings, weights=[1, 0], store=store)
    config = FormulaConfig(family="multi", classes=4, per_class=5, resolution=40)
    several = api.shard("formula", **formula_options(config), virtual=True, store=store)
    with pytest.raises(UsageError, match="needs one label an image"):
        mix(several, store=store, balance=True)
    made = mix(photos, drawings, store=store)
    (photos.path / "images-train.keys").write_bytes(b"")
    with pytest.raises(InputError, match="damaged"):
        open_dataset(made)


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("photos=0.7", ("photos", Fraction(7, 10))),
        ("a=b=2", ("a=b", Fraction(2))),
        ("a=b", ("a=b", None)),
        ("photos", ("photos", None)),
        ("=3", ("=3", None)),
        ("photos=1/3", ("photos", Fraction(1, 3))),
    ],
)
def test_weights_in_words(text, pair):
    assert split_weight(text) == pair


def test_weights_in_whole_numbers():
    assert as_draws([Fraction("0.7"), Fraction("0.3")]) == ((7, 3), True)
    assert as_draws([Fraction(1, 3), Fraction(2, 3)]) == ((1, 2), True)
    draws, exact = as_draws([Fraction("0.123456789"), Fraction("0.876543211"), Fraction(1, 10**9)])
    assert not exact
    assert draws[2] == 1
    assert sum(draws) - MOST_DRAWS in (0, 1)
    assert abs(draws[0] / sum(draws) - 0.123456789) < 2 / MOST_DRAWS


def test_images_that_two_parts_share_are_counted(store, photos, drawings):
    """Of one dataset, whatever was made of it; two others may use the same ids."""

    def cautions(*parts):
        events = []
        mix(*parts, store=store, emit=events.append)
        return [event.text for event in events if isinstance(event, Caution)]

    few = api.subset(photos, store=store, set={"images": 5})
    assert cautions(photos, few) == [
        "photos and photos-5 have 5 images of train and 12 images of val in common, which the "
        "mixture has twice: they are drawn more often, and scored twice"
    ]
    both = mix(few, drawings, store=store)
    (sentence,) = cautions(both, photos)
    assert "have 5 images of train and 12 images of val in common" in sentence
    assert cautions(photos, drawings) == []
    assert len(cautions(photos, photos)) == 1
