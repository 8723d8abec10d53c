"""What a measurement says of images that the model was trained on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from stages import api
from stages.finetune import run as finetune
from tests.artifacts.making import made, recipe, trained
from tests.duplicates.pictures import CHANGES, as_png, tiles
from tests.stages.dedup.test_dedup import images
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.runs import Run
from vitctl.events import Caution, Note
from vitctl.recipes import overlap
from vitctl.train.config import DataConfig, TrainRuntime


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Store(tmp_path / "store")


@pytest.fixture
def photos(store):
    return images(store, "photos", train={f"{i}": as_png(tiles()[i]) for i in range(8)})


@pytest.fixture
def pets(store):
    """Two of the photos in `test`, one in `train`."""
    return images(
        store,
        "pets",
        train={"a": CHANGES["half the size"](tiles()[0]), "b": as_png(tiles()[30])},
        test={str(i): CHANGES["half the size"](tiles()[i]) for i in (1, 2)},
    )


@pytest.fixture
def cars(store):
    return images(store, "cars", test={"a": as_png(tiles()[31]), "b": as_png(tiles()[32])})


def checkpoint(store, data, *, above=None, stage="pretrain", split="train"):
    """A checkpoint that was trained on a split of `data`, beginning from `above`."""
    parents = [] if data is None else [data.as_parent("data")]
    parents += [] if above is None else [above.as_parent("from")]
    path = trained(
        store,
        recipe(stage, "run", parents=tuple(parents), data={"split": split}),
        steps=(10,),
        name="S16",
    )
    return Run.load(path).checkpoint(10)


def said(store, of, dataset, split="test"):
    finding = overlap.of_training(of, dataset, split=split, store=store)
    event = overlap.remark(finding, dataset, store=store)
    return (None if finding is None else finding.overlap.as_json()), event


def test_what_was_never_searched_names_the_command(store, photos, pets):
    recorded, event = said(store, checkpoint(store, photos), pets)
    assert recorded == {"state": "unchecked"}
    assert isinstance(event, Note)
    assert event.text == (
        "the training data (photos) was never searched for images of pets; to do it: vitctl dedup "
        f"--data {photos.path} --against {pets.path} --store {store.root}"
    )


def test_what_was_left_out_is_counted_by_split(store, photos, pets):
    clean = api.dedup(photos, against=[pets], store=store)
    of = checkpoint(store, clean)
    assert said(store, of, pets)[0] == {"state": "left-out", "images": 2}
    assert said(store, of, pets, "train")[0] == {"state": "left-out", "images": 1}
    _, event = said(store, of, pets)
    assert event == Note(
        "the training data (photos-dedup-pets) was searched for images of pets: 2 matched and were "
        "left out"
    )
    # Also of a part of what was left, and of a part of what is measured.
    some = api.subset(clean, store=store, set={"images": 3})
    assert said(store, checkpoint(store, some), pets)[0]["state"] == "left-out"
    one = api.subset(pets, store=store, set={"images": 1, "split": "test"})
    assert said(store, of, one)[0]["state"] == "left-out"


def test_what_was_trained_on_all_the_same_is_a_warning(store, photos, pets, cars):
    of = checkpoint(store, photos)
    search = api.dedup(photos, against=[pets], store=store)
    recorded, event = said(store, of, pets)
    assert recorded == {"state": "trained-on", "images": 2}
    assert event == Caution(
        f"the model was trained on 2 images of photos that match images of pets ({search.path})"
    )
    api.dedup(photos, against=[cars], store=store)
    assert said(store, of, cars) == (
        {"state": "trained-on", "images": 0},
        Note("no image of the training data (photos) matches one of cars"),
    )


def test_every_dataset_on_the_way_counts_and_the_worst_is_said(store, photos, pets, cars):
    clean = api.dedup(photos, against=[pets], store=store)
    tuned = checkpoint(store, cars, above=checkpoint(store, clean), stage="finetune", split="test")
    recorded, event = said(store, tuned, pets)
    assert recorded == {"state": "unchecked"}
    assert "training data (cars)" in event.text
    assert " --split test" in event.text
    api.dedup(cars, against=[pets], set={"split": "test"}, store=store)
    assert said(store, tuned, pets)[0] == {"state": "left-out", "images": 2}
    mixture = api.mix(clean, photos, store=store)
    assert said(store, checkpoint(store, mixture), pets)[0] == {"state": "trained-on", "images": 2}
    other = images(store, "more", train={"x": as_png(tiles()[33])})
    assert said(store, checkpoint(store, api.mix(clean, other, store=store)), pets)[0] == {
        "state": "unchecked"
    }


def test_a_search_for_one_part_of_a_mixture_is_none_for_the_mixture(store, photos, pets, cars):
    both = api.mix(
        images(store, "a", train={"x": as_png(tiles()[33])}, test={"1": as_png(tiles()[1])}),
        images(store, "b", train={"y": as_png(tiles()[34])}, test={"2": as_png(tiles()[2])}),
        store=store,
    )
    parts = [store.parent(parent) for parent in both.manifest.parents]
    of = checkpoint(store, photos)
    api.dedup(photos, against=parts[:1], store=store)
    assert said(store, of, both)[0] == {"state": "unchecked"}
    api.dedup(photos, against=parts[1:], store=store)
    recorded, event = said(store, of, both)
    assert recorded == {"state": "trained-on", "images": 2}
    assert event.text.startswith("the model was trained on up to 2 images of photos that match ")
    # One that both were left out of.
    clean = api.dedup(photos, against=parts, store=store)
    assert said(store, checkpoint(store, clean), both)[0] == {"state": "left-out", "images": 2}


def test_a_search_of_another_split_says_nothing_of_the_one_trained_on(store, pets):
    data = images(
        store,
        "photos",
        train={f"{i}": as_png(tiles()[i]) for i in range(4)},
        val={f"{i}": as_png(tiles()[i]) for i in range(10, 12)},
    )
    clean = api.dedup(data, against=[pets], set={"split": "val"}, store=store)
    for dataset in (data, clean):
        assert said(store, checkpoint(store, dataset), pets)[0] == {"state": "unchecked"}
    assert said(store, checkpoint(store, clean, split="val"), pets)[0]["state"] == "left-out"
    assert said(store, checkpoint(store, data, split="val"), pets)[0] == {
        "state": "trained-on",
        "images": 0,
    }


def test_the_search_at_the_largest_distance_is_told(store, photos, pets):
    of = checkpoint(store, photos)
    exact = api.dedup(photos, against=[pets], set={"exact": True}, store=store)
    name = "no image of the training data (photos) matches (same bytes or pixels only) one of pets"
    assert said(store, of, pets) == ({"state": "trained-on", "images": 0}, Note(name))
    assert said(store, checkpoint(store, exact), pets)[1].text.endswith(
        "0 matched (same bytes or pixels only) and were left out"
    )
    api.dedup(photos, against=[pets], set={"distance": 0, "crop": False}, store=store)
    api.dedup(photos, against=[pets], store=store)
    assert said(store, of, pets)[0] == {"state": "trained-on", "images": 2}
    # What was left out of the images is no bound of the nearly equal ones among those that stay.
    assert said(store, checkpoint(store, exact), pets)[0] == {"state": "trained-on", "images": 2}


def test_one_damaged_report_does_not_silence_the_others(store, photos, pets, cars):
    of = checkpoint(store, photos)
    other = api.dedup(photos, against=[cars], store=store)
    (other.path / "dedup.json").write_text("{")
    assert said(store, of, pets)[0] == {"state": "unchecked"}
    again = api.dedup(photos, against=[cars, pets], set={"distance": 4}, store=store)
    assert said(store, of, cars)[0] == {"state": "trained-on", "images": 0}
    assert said(store, of, pets)[0] == {"state": "trained-on", "images": 2}
    (again.path / "dedup.json").write_text("{")
    assert said(store, of, pets) == (None, None)


@pytest.mark.parametrize(
    ("eval_split", "compared"), [("held-out", "train"), (None, "train"), ("test", "test")]
)
def test_finetune_asks_for_the_split_that_images_are_held_out_of(
    store, photos, pets, monkeypatch, eval_split, compared
):
    class Asked(Exception):
        """Nothing is trained here."""

    def of_training(checkpoint, dataset, *, split, store):
        raise Asked(dataset.id, split)

    monkeypatch.setattr(finetune.overlap, "of_training", of_training)
    cfg = SimpleNamespace(data=DataConfig(batch=2, eval_split=eval_split, held_out=0.2))
    inputs = SimpleNamespace(checkpoint=checkpoint(store, photos), dataset=pets)
    with pytest.raises(Asked) as caught:
        finetune.run(cfg, inputs, store=store, runtime=TrainRuntime(name="tuned"))
    assert caught.value.args == (pets.id, compared)


def test_silence_where_nothing_is_known(store, photos, pets, tmp_path):
    assert said(store, checkpoint(store, None, stage="import"), pets) == (None, None)
    assert said(store, checkpoint(store, photos), None) == (None, None)
    # The held-out images of the same dataset: nobody compared, and nobody need be told each time.
    assert said(store, checkpoint(store, photos), photos) == (None, None)
    subset = api.subset(photos, store=store, set={"images": 3})
    assert said(store, checkpoint(store, subset), photos) == (None, None)
    # Data that is gone.
    gone = made(store, recipe(kind="dataset", name="gone"))
    of = checkpoint(store, gone)
    (gone.path / "artifact.json").unlink()
    assert said(store, of, pets) == (None, None)


def test_a_damaged_report_is_no_reason_to_fail(store, photos, pets):
    clean = api.dedup(photos, against=[pets], store=store)
    (clean.path / "dedup.json").write_text("{")
    assert said(store, checkpoint(store, clean), pets) == (None, None)
    assert isinstance(clean, Artifact)
