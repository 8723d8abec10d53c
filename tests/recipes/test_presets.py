"""Presets of fine-tuning against the numbers of their sources, written down here once more."""

from __future__ import annotations

import math
from typing import get_args

import pytest

from tests import made
from vitctl.artifacts import Store
from vitctl.data.config import AugmentConfig, EvalPreprocess
from vitctl.errors import UsageError
from vitctl.optim import schedules
from vitctl.recipes import finetuning
from vitctl.recipes.pretraining import ImageFacts
from vitctl.recipes.recipe import Preset, load_finetune
from vitctl.settings.overrides import build
from vitctl.settings.trees import merge
from vitctl.train.config import TrainConfig

# batch, steps, warmup, rate, side (None: by the model), held out; appendix D of the paper, and
# big_vision's configs/transfer.py for the last three.
SOURCES = {
    "imagenet-384": (512, 20_000, 500, 0.03, 384, 0.02),
    "imagenet-518": (512, 20_000, 500, 0.03, 518, 0.02),
    "imagenet-518-average": (512, 20_000, 500, 0.03, 518, 0.02),
    "vtab": (512, 2_500, 500, 0.01, None, 0.2),
    "cifar": (512, 10_000, 500, 0.01, None, 0.02),
    "pets": (512, 500, 100, 0.003, None, 0.1),
    "flowers": (512, 500, 100, 0.003, None, 0.1),
}


@pytest.fixture
def resolved(tmp_path):
    def resolve(
        preset, *, examples=50_000, side=None, scaling=None, model=None, trained=None, **overrides
    ):
        images = ImageFacts(examples=examples, classes=10, eval_split="val", side=side)
        model = {"resolution": 224, "patch": 16, "width": 64, "heads": 2} | (model or {})
        before = made.checkpoint(
            Store(tmp_path / "store"), model=model, data=trained or {}, saved=False
        )
        branch = finetuning.resolve(
            before,
            images=images,
            duration=None,
            overrides=overrides,
            preset=preset,
            scaling=scaling,
        )
        return build(TrainConfig, merge({}, branch.tree, overrides)), branch

    return resolve


@pytest.mark.parametrize("preset", get_args(Preset))
def test_a_preset_has_the_numbers_of_its_source(resolved, preset):
    batch, steps, warmup, rate, side, share = SOURCES[preset]
    cfg, branch = resolved(preset, model={"patch": 14, "resolution": 224})
    assert (cfg.data.batch, cfg.steps, cfg.schedule.warmup_steps) == (batch, steps, warmup)
    assert (cfg.schedule.peak_lr, load_finetune(preset).hold_out) == (rate, share)
    if side is not None:
        assert cfg.model.resolution == {384: 378, 518: 518}[side]  # what patches of 14 px divide
    assert (cfg.optim.name, cfg.optim.beta1, cfg.optim.clip_norm) == ("sgd", 0.9, 1.0)
    assert (cfg.optim.wd_head, cfg.optim.wd_body, cfg.loss) == (0.0, 0.0, "softmax")
    assert load_finetune(preset).title in branch.notes[0]


@pytest.mark.parametrize("preset", get_args(Preset))
def test_images_are_cropped_and_scored_as_its_source_does(resolved, preset):
    """Of 448 px 384, whatever the size; the paper says nothing of it."""
    cfg, branch = resolved(preset, side=32)
    augment, evaluation = cfg.data.augment, cfg.data.evaluation
    if preset not in ("cifar", "pets", "flowers"):
        assert (augment.crop, augment.area_min, evaluation) == ("inception", 0.56, EvalPreprocess())
        assert branch.before == (), "no earlier version had it"
        return
    assert evaluation == EvalPreprocess(ratio=448 / 384)
    if preset == "cifar":
        assert (augment.crop, augment.crop_ratio) == ("simple", 448 / 384)
        assert round(384 * augment.crop_ratio) == 448
        assert not any("crops keep" in note for note in branch.notes)
    else:
        assert (augment.crop, augment.crop_ratio) == ("inception", None)


def test_runs_that_an_earlier_version_began_with_other_crops_are_known(resolved):
    cfg, branch = resolved("cifar", side=32)
    (earlier,) = (build(TrainConfig, merge({}, branch.tree, tree)) for tree in branch.before)
    assert earlier.data.augment == AugmentConfig(area_min=0.56)
    assert earlier.data.evaluation == EvalPreprocess()
    assert earlier.data.model_copy(
        update={"augment": cfg.data.augment, "evaluation": cfg.data.evaluation}
    ) == cfg.data  # fmt: skip


def test_other_crops_than_a_preset_s_are_without_its_ratio(resolved):
    cfg, branch = resolved("cifar", side=32, data={"augment": {"crop": "inception"}})
    assert cfg.data.augment == AugmentConfig(area_min=0.56)
    assert any("crops keep 56%" in note for note in branch.notes)
    cfg, _ = resolved("cifar", data={"augment": {"crop_ratio": 1.25}})
    assert (cfg.data.augment.crop, cfg.data.augment.crop_ratio) == ("simple", 1.25)


def test_crops_that_are_not_resized_are_without_the_scale_of_jpegs(resolved):
    """Which the checkpoint was trained with, and others keep."""
    trained = {"augment": {"jpeg_oversampling": 1.5}}
    cfg, _ = resolved("cifar", trained=trained)
    assert cfg.data.augment.jpeg_oversampling == 1.5
    cfg, _ = resolved("cifar", trained=trained, data={"augment": {"crop": "none"}})
    assert cfg.data.augment == AugmentConfig(crop="none", area_min=cfg.data.augment.area_min)


def test_its_size_is_that_whatever_the_model_was_pretrained_at(resolved):
    cfg, _ = resolved("imagenet-384", model={"resolution": 96})
    assert cfg.model.resolution == 384


def test_the_average_is_of_a_flat_rate_on_a_run_with_an_end(resolved):
    cfg, _ = resolved("imagenet-518-average", model={"patch": 14})
    rates = [schedules.value(cfg.schedule, step=step) for step in (500, 10_000, 19_999)]
    assert rates == [0.03] * 3
    assert cfg.optim.ema == 1.0
    assert not cfg.schedule.open_ended


def test_a_batch_is_smaller_only_where_there_are_fewer_images(resolved):
    assert resolved("vtab", examples=1000)[0].data.batch == 512
    cfg, branch = resolved("vtab", examples=301)
    assert (cfg.data.batch, cfg.steps) == (296, 2_500)
    assert any("not scaled to 296" in note for note in branch.notes)


@pytest.mark.parametrize(("scaling", "factor"), [("linear", 1 / 8), ("sqrt", math.sqrt(1 / 8))])
def test_a_rate_is_scaled_to_the_batch_that_is_used(resolved, scaling, factor):
    cfg, branch = resolved(None, scaling=scaling, data={"batch": 64})
    assert cfg.schedule.peak_lr == pytest.approx(0.03 * factor, rel=1e-12)
    assert any(f"scaled to 64: {scaling}" in note for note in branch.notes)
    assert not any("not scaled" in note for note in branch.notes)
    plain, branch = resolved(None, data={"batch": 64})
    assert plain.schedule.peak_lr == 0.03
    assert any("(--scale-lr linear)" in note for note in branch.notes)


def test_a_length_that_is_given_wins_and_its_warmup_fits(resolved, tmp_path):
    before = made.checkpoint(Store(tmp_path / "other"), saved=False)
    images = ImageFacts(examples=1000, classes=10, eval_split="val")
    branch = finetuning.resolve(
        before, images=images, duration=(100, "steps"), overrides={}, preset="vtab"
    )
    assert branch.tree["schedule"]["total_steps"] == 100
    assert branch.tree["schedule"]["warmup_steps"] == 99


def test_another_word_is_refused():
    with pytest.raises(UsageError, match="no preset") as caught:
        load_finetune("imagenet")
    assert "imagenet-384" in caught.value.hint
