"""What a checkpoint and a dataset resolve to; nothing is trained."""

from __future__ import annotations

import math

import pytest

from stages.finetune.spec import Inputs, recipe_of
from tests import made
from vitctl.artifacts import Store
from vitctl.errors import UsageError
from vitctl.events import silent
from vitctl.recipes import finetuning, pretraining
from vitctl.recipes import settings as settings_of_runs
from vitctl.recipes.pretraining import ImageFacts, edge
from vitctl.recipes.settings import RunSettings
from vitctl.settings.overrides import Overrides, build
from vitctl.settings.trees import merge
from vitctl.train.config import TrainConfig, TrainRuntime

IMAGENET = ImageFacts(examples=1_281_167, classes=1000, eval_split="val")
SMALL = ImageFacts(examples=800, classes=5, eval_split="val")


@pytest.fixture
def resolved(tmp_path):
    """Settings, notes, and the settings of the earliest version, of a checkpoint of this model."""

    def resolve(pretrained, /, *, images=IMAGENET, **overrides):
        pretrained = {"resolution": 224, "width": 64, "heads": 2} | pretrained
        before = made.checkpoint(Store(tmp_path / "store"), model=pretrained, saved=False)
        branch = finetuning.resolve(before, images=images, duration=None, overrides=overrides)
        cfg = build(TrainConfig, merge({}, branch.tree, overrides))
        earlier = [
            build(TrainConfig, merge({}, branch.tree, version, overrides))
            for version in branch.before
        ]
        return before, cfg, branch.notes, earlier[-1] if earlier else None

    return resolve


@pytest.mark.parametrize(("patch", "size"), [(28, 392), (16, 384), (32, 384), (17, 391), (14, 378)])
def test_a_recipe_takes_the_nearest_size_that_patches_divide(resolved, patch, size):
    _, cfg, notes, earlier = resolved({"patch": patch, "position": "learned"})
    assert cfg.model.resolution == size
    assert size % patch == 0
    assert edge(cfg.model) is None
    assert any(f"--res {size} (pretrained at 224 px" in note for note in notes)
    assert (earlier is None) == (size == 384), "what divides is what it was"
    if earlier is not None:
        assert earlier.model.resolution == 384


def test_a_size_that_was_asked_for_stays_and_its_lost_edge_is_said(resolved):
    _, cfg, _, _ = resolved({"patch": 28}, model={"resolution": 384})
    assert cfg.model.resolution == 384
    assert "20 px at the right" in edge(cfg.model)
    assert "--res 392 or --res 364" in edge(cfg.model)


def test_patches_keep_their_size(resolved):
    """A position grid of the checkpoint's patches would be wrong for others."""
    with pytest.raises(UsageError, match="keeps the checkpoint's patches of 28 px"):
        resolved({"patch": 28}, model={"patch": 14})
    assert resolved({"patch": 28}, model={"patch": 28})[1].model.patch == 28


def test_one_that_was_pretrained_at_another_size_stays_there(resolved):
    _, cfg, _, earlier = resolved({"patch": 17, "resolution": 200})
    assert (cfg.model.resolution, earlier) == (200, None)
    assert "do not divide 200 px" in edge(cfg.model)


def test_fixed_positions_span_the_grid_of_pretraining_and_learned_ones_are_no_field(resolved):
    _, cfg, notes, earlier = resolved({"patch": 16, "position": "sincos2d"})
    assert (cfg.model.resolution, cfg.model.position_grid) == (384, 14)
    assert any("span the 14x14 patches of pretraining" in note for note in notes)
    assert earlier.model.position_grid is None
    assert "position_grid" not in earlier.identity()["model"]

    _, cfg, _, earlier = resolved({"patch": 16, "position": "learned"})
    assert (cfg.model.position_grid, earlier) == (None, None)


def test_fine_tuned_again_they_still_span_the_first_grid(resolved):
    positions = {"patch": 16, "position": "sincos2d", "position_grid": 14, "resolution": 384}
    _, cfg, _, _ = resolved(positions, model={"resolution": 512})
    assert cfg.model.position_grid == 14
    _, cfg, _, _ = resolved(positions, model={"resolution": 224})
    assert cfg.model.position_grid is None, "back on the grid of pretraining it is its own"


def test_who_says_what_to_span_is_obeyed(resolved):
    request = {"model": {"position_grid": None}}
    _, cfg, notes, _ = resolved({"patch": 16, "position": "sincos2d"}, **request)
    assert cfg.model.position_grid is None
    assert not any("span" in note for note in notes)


def test_a_learning_rate_that_is_not_scaled_says_so(resolved):
    model = {"patch": 16, "position": "learned"}
    _, cfg, notes, _ = resolved(model, images=SMALL)
    assert (cfg.data.batch, cfg.schedule.peak_lr) == (96, 0.03)
    # 0.03 * 96 / 512
    assert any("not scaled to 96; in proportion it would be --lr 0.0056" in n for n in notes)
    for _, cfg, notes, _ in (
        resolved(model),
        resolved(model, images=SMALL, schedule={"peak_lr": 0.01}),
    ):
        assert not any("scaled" in note for note in notes), cfg.data.batch


def test_a_run_that_an_earlier_version_began_is_continued(resolved, tmp_path):
    """384 px of patches of 28, where now 392 would be chosen: the id of the old run counts."""
    store = Store(tmp_path / "store")
    before, cfg, _, earlier = resolved({"patch": 28, "position": "sincos2d"})
    inputs = Inputs(before, before)  # only its id matters here
    settings = settings_of_runs.RunSettings(cfg, IMAGENET, ("as now",), (earlier,))

    def continued(**runtime):
        taken = settings_of_runs.continued(
            settings,
            lambda cfg: recipe_of(cfg, inputs),
            store=store,
            runtime=TrainRuntime(**runtime),
        )
        return taken.cfg, taken.notes

    assert continued() == (cfg, ("as now",))

    with store.open_run(recipe_of(earlier, inputs), name="old"):
        pass
    taken, notes = continued()
    assert (taken.model.resolution, taken.model.position_grid) == (384, None)
    assert "an earlier version began" in notes[0]
    assert continued(force=True) == (cfg, ("as now",))

    with store.open_run(recipe_of(cfg, inputs), name="new"):
        pass
    assert continued() == (cfg, ("as now",)), "one of its own counts"


def test_a_sigmoid_starts_calmly_and_a_few_images_make_no_batch_of_one(resolved):
    few = ImageFacts(examples=14, classes=5, eval_split="val")
    _, cfg, _, earlier = resolved({"resolution": 32, "patch": 8}, images=few, loss="sigmoid")
    assert cfg.model.head_bias == pytest.approx(-math.log(5), abs=1e-4)
    assert cfg.data.batch == 8
    assert (earlier.model.head_bias, earlier.data.batch) == (0.0, 1)
    _, cfg, _, earlier = resolved({"resolution": 32, "patch": 8}, images=SMALL)
    assert (cfg.model.head_bias, cfg.data.batch, earlier) == (0.0, 96, None)


def test_crops_of_small_images_keep_more(resolved):
    """Also where the model is trained on photos: 5 % of 32 px are 7 px."""
    small = ImageFacts(examples=800, classes=5, eval_split="val", side=32)
    model = {"patch": 16, "position": "learned"}
    _, cfg, notes, earlier = resolved(model, images=small)
    assert cfg.data.augment.area_min == 0.56
    assert earlier.data.augment.area_min == 0.05
    assert any("crops keep 56% of an image or more" in note for note in notes)
    _, cfg, _, earlier = resolved(model, images=SMALL)
    assert (cfg.data.augment.area_min, earlier) == (0.05, None)


@pytest.mark.parametrize("epochs", [1, 2])
def test_each_version_has_its_own_length(tmp_path, epochs):
    """Epochs of 6 images: a step each, and six with the batch of 1 that was once chosen. One epoch
    was refused, for the warmup of the six."""
    checkpoint = made.checkpoint(Store(tmp_path / "store"), saved=False)
    images = ImageFacts(examples=6, classes=5, eval_split="val")
    branch = finetuning.resolve(
        checkpoint, images=images, duration=(epochs, "epochs"), overrides={}
    )
    now, before = settings_of_runs.versions(
        Overrides(), branch.tree, branch.before, flags=("schedule.total_steps",)
    )
    assert (now.data.batch, now.steps) == (6, epochs)
    assert (before.data.batch, before.steps) == (1, 6 * epochs)
    refused = {"schedule": {"warmup_steps": now.steps}}
    assert settings_of_runs.versions(Overrides(), branch.tree, [refused], flags=()) == (now,)


@pytest.mark.parametrize(
    ("keep_best", "flags"),
    [
        ({"patience": 5}, "--patience is"),
        ({"every": 10}, "--score-every is"),
        ({"every": 10, "patience": 5}, "--patience and --score-every are"),
    ],
)
def test_nothing_is_chosen_where_nothing_says_by_what(resolved, keep_best, flags):
    """Patience alone made the best checkpoint by top-1 the result, in place of the last."""
    with pytest.raises(UsageError, match=flags) as caught:
        resolved({}, keep_best=keep_best)
    assert caught.value.hint == "add --keep-best top1"
    _, cfg, _, _ = resolved({}, keep_best={"metric": "loss", **keep_best})
    assert (cfg.keep_best.metric, cfg.keep_best.patience) == ("loss", keep_best.get("patience"))
    assert resolved({}, keep_best=None)[1].keep_best is None


def test_a_batch_is_compared_with_the_images_that_are_trained_on(tmp_path):
    """Of 800 images a fifth is held out: 640 are a batch, 641 are not."""
    checkpoint = made.checkpoint(Store(tmp_path / "store"), saved=False)
    for batch, share in ((640, 0.2), (641, 0.2), (800, None), (801, None)):
        data = {"batch": batch} | ({} if share is None else {"held_out": share})
        branch = finetuning.resolve(
            checkpoint, images=SMALL, duration=(4, "steps"), overrides={"data": data}
        )
        cfg = build(TrainConfig, merge(branch.tree, {"data": data}))
        settings = RunSettings(cfg, SMALL, ())
        if batch in (640, 800):
            settings.announce(silent)
        else:
            with pytest.raises(UsageError, match=f"larger than the {batch - 1} images"):
                settings.announce(silent)


@pytest.mark.parametrize(("share", "steps"), [(None, 100), (0.2, 80), ("a fifth", 100), (0.999, 1)])
def test_an_epoch_is_the_images_that_are_trained_on(tmp_path, share, steps):
    """Ten epochs of 800 images, a fifth of which is held out, were 12.5 of the others."""
    checkpoint = made.checkpoint(Store(tmp_path / "store"), saved=False)
    overrides = {"data": {"batch": 80} | ({} if share is None else {"held_out": share})}
    length = (10, "epochs")
    branch = finetuning.resolve(checkpoint, images=SMALL, duration=length, overrides=overrides)
    assert branch.tree["schedule"]["total_steps"] == steps
    overrides["data"]["held_out"] = share
    pretrained = pretraining.resolve(
        model="S/16", recipe=None, images=SMALL, duration=length, overrides=overrides
    )
    assert pretrained.tree["schedule"]["total_steps"] == steps
