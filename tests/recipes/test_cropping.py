"""Crops of small images keep enough to see something."""

from __future__ import annotations

import math

import pytest

from stages.pretrain.spec import Inputs, recipe_of
from tests import made
from vitctl.artifacts import Store
from vitctl.data.config import AugmentConfig
from vitctl.errors import UsageError
from vitctl.recipes import cropping, pretraining
from vitctl.recipes import settings as settings_of_runs
from vitctl.recipes.pretraining import ImageFacts
from vitctl.settings.overrides import Overrides, build
from vitctl.settings.trees import merge
from vitctl.train.config import TrainConfig, TrainRuntime


def images(side, examples=1000):
    return ImageFacts(examples=examples, classes=3, eval_split="val", side=side)


def resolved(images, *, recipe=None, **overrides):
    cfg = pretraining.resolve(
        model="S16", recipe=recipe, images=images, duration=None, overrides=overrides
    )
    trees = (cfg.tree, *(merge({}, cfg.tree, earlier) for earlier in cfg.before))
    now, *before = (
        build(TrainConfig, merge({"precision": "float32"}, tree, overrides)) for tree in trees
    )
    return now, [note for note in cfg.notes if "crops" in note], before


@pytest.mark.parametrize(
    ("side", "share"), [(107, 0.05), (96, 0.06), (64, 0.14), (48, 0.25), (32, 0.56), (28, 0.64)]
)
def test_the_smallest_crop_is_24_pixels_wide(side, share):
    cfg, notes, before = resolved(images(side))
    assert cfg.data.augment.area_min == share
    if share == 0.05:
        assert (notes, before) == ([], [])
        return
    if share < 0.64:  # the most, BiT's (128 / 160)^2
        assert share**0.5 * side == pytest.approx(24, abs=0.6)
    assert f"crops keep {share:.0%} of an image or more" in notes[0]
    assert f"about {side} px wide (5% would be {math.sqrt(0.05) * side:.0f} px)" in notes[0]
    assert [cfg.data.augment.area_min for cfg in before] == [0.05]


@pytest.mark.parametrize("crop", ["simple", "resize", "none"])
def test_what_only_inception_crops_have_is_refused_of_others(crop):
    run = resolved(images(None))[0].model_dump(mode="json")

    def built(base=None, file=None, **augment):
        usual = merge({}, run, {"data": {"augment": base or {}}})
        given = Overrides(
            file={"data": {"augment": file or {}}}, settings={"data": {"augment": augment}}
        )
        return settings_of_runs.built(given, usual).data.augment

    for name, value in [("area_min", 0.3), ("area_max", 0.9), ("aspect_min", 1), ("aspect_max", 1)]:
        with pytest.raises(UsageError, match=f"{name} is of crop=inception, and crop is {crop}"):
            built(crop=crop, **{name: value})
        with pytest.raises(UsageError, match="crop=inception") as error:
            built(base={"crop": crop}, **{name: value})
        assert "--set data.augment.crop=inception" in error.value.hint
        assert getattr(built(crop="inception", **{name: value}), name) == value
        # What a recipe or the file of an earlier run has may stay, and be said again.
        assert built(base={name: value}, crop=crop).crop == crop
        assert built(file={name: value}, crop=crop).crop == crop
        assert built(base={name: value}, crop=crop, **{name: value}).crop == crop
        record = AugmentConfig(crop=crop, **{name: value}).model_dump(mode="json")
        assert built(file=record).crop == crop
        assert built(file=record, **{name: value}).crop == crop
        # What a person writes into a file counts as what they give beside it.
        for base in ({}, {"crop": crop}):
            with pytest.raises(UsageError, match=f"{name} is of crop=inception"):
                built(base={"crop": crop}, file={**base, name: value})
        assert AugmentConfig(crop=crop, **{name: value}).crop == crop, "stored runs have it"


def test_large_images_are_cropped_as_ever():
    cfg, notes, before = resolved(images(None))
    assert (cfg.data.augment.area_min, notes, before) == (0.05, [], [])
    assert cropping.small_rule().from_side == 108


@pytest.mark.parametrize(
    "augment", [{"area_min": 0.05}, {"crop": "resize"}, {"crop": "none"}, {"area_max": 0.2}]
)
def test_what_the_user_sets_wins(augment):
    cfg, notes, before = resolved(images(48), data={"augment": augment})
    assert (cfg.data.augment.area_min, notes, before) == (0.05, [], [])


def test_the_paper_s_crop_stays_and_is_said():
    cfg, notes, before = resolved(images(64, examples=1_281_167), recipe="paper")
    assert (cfg.data.augment.area_min, before) == (0.05, [])
    assert "14 px of images about 64 px wide; --set data.augment.area_min=0.14" in notes[0]


def test_runs_of_every_earlier_version_are_continued(tmp_path):
    """14 images of 48 px: first a batch of 1, then of 8 with crops of 5 %, now with 25 %."""
    now, _, before = resolved(images(48, examples=14))
    assert [(cfg.data.batch, cfg.data.augment.area_min) for cfg in (now, *before)] == [
        (8, 0.25),
        (8, 0.05),
        (1, 0.05),
    ]
    settings = settings_of_runs.RunSettings(now, images(48), (), tuple(before))
    inputs = Inputs(made.dataset_artifact(Store(tmp_path / "data")))
    for number, begun in enumerate(before):
        store = Store(tmp_path / str(number))
        with store.open_run(recipe_of(begun, inputs), name="old"):
            pass
        taken = settings_of_runs.continued(
            settings, lambda cfg: recipe_of(cfg, inputs), store=store, runtime=TrainRuntime()
        )
        assert taken.cfg == begun
