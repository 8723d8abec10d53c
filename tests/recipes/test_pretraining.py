"""What a model, a dataset and a recipe resolve to."""

from __future__ import annotations

from typing import get_args

import pytest

from vitctl.errors import UsageError
from vitctl.recipes import pretraining
from vitctl.recipes.pretraining import ImageFacts
from vitctl.recipes.recipe import RecipeName, load
from vitctl.settings.overrides import build, read_toml, to_toml
from vitctl.settings.trees import merge
from vitctl.train.config import TrainConfig

IMAGENET = ImageFacts(examples=1_281_167, classes=1000, eval_split="val")
DIGITS = ImageFacts(examples=1437, classes=10, eval_split="val")


def resolved(model, images, /, *, recipe=None, duration=None, **overrides):
    cfg = pretraining.resolve(
        model=model, recipe=recipe, images=images, duration=duration, overrides=overrides
    )
    return build(TrainConfig, merge({"precision": "float32"}, cfg.tree, overrides)), cfg.notes


def test_the_paper_s_own_run():
    """Appendix C: batch 16384, 1M steps, 10k warmup, lr 8e-4, decay 3.0 and 0.03, sigmoid."""
    jft = ImageFacts(examples=3_000_000_000, classes=29_593, eval_split=None)
    cfg, notes = resolved("g14", jft)
    assert (cfg.data.batch, cfg.steps, cfg.loss) == (16_384, 1_000_000, "sigmoid")
    assert (cfg.schedule.kind, cfg.schedule.peak_lr) == ("rsqrt", 8e-4)
    assert (cfg.schedule.warmup_steps, cfg.schedule.timescale_steps) == (10_000, 10_000)
    assert (cfg.optim.name, cfg.optim.wd_head, cfg.optim.wd_body) == ("adafactor", 3.0, 0.03)
    assert cfg.model.head_bias == pytest.approx(-10.295, abs=1e-3)  # -ln(29593); the config has -10
    assert cfg.data.augment.randaugment is None
    assert any("paper" in note and "ViT-g" in note for note in notes)
    assert any(note.startswith("g/14 (") for note in notes)


@pytest.mark.parametrize(
    ("model", "images", "recipe", "batch"),
    [
        ("S16", IMAGENET, "paper", 4096),
        ("S16", DIGITS, "small", 176),
        ("g14", DIGITS, "paper", 16_384),
        ("G14", IMAGENET, "paper", 16_384),
        ("B16", ImageFacts(examples=100_000, classes=5, eval_split="val"), "small", 1024),
    ],
)
def test_the_recipe_is_chosen_by_model_and_data(model, images, recipe, batch):
    cfg, _ = resolved(model, images)
    assert (cfg.recipe, cfg.data.batch) == (recipe, batch)


def test_the_small_recipe_on_digits():
    """Batch 1437/8 to a multiple of 8; 90 epochs; a tenth of them warmup; softmax."""
    cfg, _ = resolved("S16", DIGITS)
    assert cfg.steps == -(-90 * 1437 // 176)
    assert cfg.schedule.warmup_steps == round(cfg.steps / 10)
    assert cfg.loss == "softmax"
    assert cfg.model.head_bias == 0.0
    assert cfg.data.augment.mixup_alpha == 0.2


def test_more_steps_are_the_same_run():
    short, _ = resolved("S16", DIGITS, duration=(100, "steps"))
    long, _ = resolved("S16", DIGITS, duration=(200, "steps"))
    assert (short.steps, long.steps) == (100, 200)
    assert short.identity() == long.identity()


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_a_closed_schedule_carries_its_length(kind):
    closed = {"schedule": {"kind": kind}}
    short, _ = resolved("S16", DIGITS, duration=(100, "steps"), **closed)
    long, _ = resolved("S16", DIGITS, duration=(200, "steps"), **closed)
    assert short.identity() != long.identity()


@pytest.mark.parametrize(
    ("duration", "steps"),
    [((20_000.0, "steps"), 20_000), ((1760.0, "images"), 10), ((1761.0, "images"), 11)],
)
def test_lengths(duration, steps):
    assert resolved("S16", DIGITS, duration=duration)[0].steps == steps


def test_a_given_batch_decides_what_is_derived():
    cfg, _ = resolved("S16", DIGITS, data={"batch": 32})
    assert cfg.steps == -(-90 * 1437 // 32)


@pytest.mark.parametrize(
    ("trunk", "cooldown"),
    [(20_000, 10_000), (60_000, 10_000), (90_000, 30_000), (120_000, 50_000), (4_000_000, 50_000)],
)
def test_the_paper_s_cooldown(trunk, cooldown):
    assert load("paper").cooldown.of(trunk=trunk) == cooldown


def test_the_small_cooldown_is_a_fifth():
    assert load("small").cooldown.of(trunk=500) == 100


def test_a_batch_over_the_dataset_is_refused():
    with pytest.raises(UsageError, match="larger than the 1437 images to train on"):
        pretraining.check(batch=16_384, examples=1437, steps=10, warmup=1)


def test_a_long_warmup_is_announced():
    caution = pretraining.check(batch=16, examples=1437, steps=100, warmup=26)
    assert caution is not None
    assert "--warmup 10" in caution
    assert pretraining.check(batch=16, examples=1437, steps=100, warmup=25) is None
    caution = pretraining.check(batch=16, examples=1437, steps=60, warmup=910)
    assert caution == (
        "the warmup of 910 steps is no shorter than the run of 60, which never trains at the full "
        "rate; --warmup 6 would"
    )


@pytest.mark.parametrize("model", ["S16", "g14"])
def test_what_is_printed_can_be_read_back(model, tmp_path):
    cfg, _ = resolved(model, IMAGENET)
    file = tmp_path / "printed.toml"
    file.write_text(to_toml(cfg))
    assert build(TrainConfig, read_toml(file)) == cfg


@pytest.mark.parametrize("recipe", get_args(RecipeName))
@pytest.mark.parametrize("model", ["s28", "Ti16", "S16", "B16", "L16", "g14", "G14"])
def test_every_recipe_resolves_for_every_model(recipe, model, golden):
    cfg, _ = resolved(model, IMAGENET, recipe=recipe)
    if model == "g14":
        golden(f"config_{recipe}_g14.toml", to_toml(cfg))


@pytest.mark.parametrize(
    ("model", "size"), [("S16", 224), ("s28", 224), ("Ti17", 221), ("S/48", 240)]
)
def test_the_usual_size_is_taken_to_the_nearest_that_patches_divide(model, size):
    cfg, notes = resolved(model, DIGITS)
    assert cfg.model.resolution == size
    assert any(f"--res {size}" in note for note in notes) == (size != 224)
    assert pretraining.edge(cfg.model) is None
    settings = pretraining.resolve(
        model=model, recipe=None, images=DIGITS, duration=None, overrides={}
    )
    assert settings.before == (() if size == 224 else ({"model": {"resolution": 224}},))


@pytest.mark.parametrize(
    ("model", "overrides"),
    [("vit_tiny_patch17_224", {}), ("Ti17", {"model": {"resolution": 224}})],
)
def test_a_size_that_was_named_stays_and_what_is_not_seen_is_said(model, overrides):
    cfg, _ = resolved(model, DIGITS, **overrides)
    assert cfg.model.resolution == 224
    # 13 patches of 17 are 221.
    assert "the last 3 px" in pretraining.edge(cfg.model)
    assert "--res 221 or --res 238" in pretraining.edge(cfg.model)


CUSTOM = {"width": 96, "depth": 3, "mlp_dim": 384, "heads": 3, "patch": 8}


def test_a_custom_shape_keeps_its_name_in_the_settings_and_is_shown_as_custom():
    """The name is part of what names a run, so it stays; people are shown the shape."""
    cfg, _ = resolved("S16", DIGITS, model=CUSTOM)
    assert cfg.identity()["name"] == "S/16"
    assert cfg.label == "custom (width 96, depth 3, patch 8)"
    named, _ = resolved("S16", DIGITS, model=CUSTOM, name="birds")
    assert (named.name, named.label) == ("birds", "birds")


def test_a_custom_shape_is_not_compared_with_a_published_one():
    assert any("is not s/16" in note for note in resolved("S16", DIGITS)[1])
    assert not any("is not s/16" in note for note in resolved("S16", DIGITS, model=CUSTOM)[1])


def test_a_model_that_nobody_named_is_not_told_from_another():
    cfg, notes = resolved(None, DIGITS)
    assert cfg.name == "S/16"
    assert not any("is not s/16" in note for note in notes)


def test_a_name_of_the_user_s_own_needs_a_size_beside_it():
    assert pretraining.size_of(None, {"name": "birds", "model": CUSTOM}) is None
    assert pretraining.size_of(None, {"name": "B16", "model": CUSTOM}) == "B16"
    assert pretraining.size_of("L16", {"name": "birds"}) == "L16"
    assert pretraining.size_of(None, {}) is None
    name = pretraining.size_of(None, {"name": "b16", "model": {"resolution": 64}})
    with pytest.raises(UsageError, match="unknown model 'b16'"):
        resolved(name, DIGITS)


MADE_UP = ImageFacts(examples=100_000, classes=1000, eval_split="val", made_up=True)


def test_made_up_images_are_few_unless_a_batch_is_given():
    small, notes = resolved("test", MADE_UP)
    assert (small.data.batch, small.steps, small.model.resolution) == (16, 1000, 32)
    assert any(note.startswith("--batch 16") for note in notes)
    assert resolved("S16", MADE_UP)[0].model.resolution == 224
    assert any(note.startswith("--res 32") for note in notes)
    given, _ = resolved("test", MADE_UP, data={"batch": 1024})
    assert (given.steps, given.model.resolution) == (8790, 32)
    # Runs of what each version chose before are found.
    first, _ = resolved("test", MADE_UP, data={"batch": 1024}, model={"resolution": 224})
    for overrides in ({}, {"data": {"batch": 1024}}):
        cfg = pretraining.resolve(
            model="test", recipe=None, images=MADE_UP, duration=None, overrides=overrides
        )
        changes = merge({"precision": "float32"}, cfg.tree, *cfg.before, overrides)
        assert build(TrainConfig, changes).identity() == first.identity()


@pytest.mark.parametrize(("examples", "batch"), [(14, 8), (5, 5), (64, 8), (100, 8), (160, 16)])
def test_a_few_images_are_mixed_with_others(examples, batch):
    images = ImageFacts(examples=examples, classes=2, eval_split=None)
    cfg = pretraining.resolve(model="S16", recipe=None, images=images, duration=None, overrides={})
    assert cfg.tree["data"]["batch"] == batch
    # What was chosen before is continued.
    usual = max(1, examples // 8 if examples < 64 else examples // 64 * 8)
    assert (cfg.before or (cfg.tree,))[0]["data"]["batch"] == usual


def test_a_batch_of_one_is_mixed_with_itself():
    one, _ = resolved("S16", DIGITS, data={"batch": 1})
    assert "in a batch of 1 with itself" in pretraining.mixed_alone(one.data)
    two, _ = resolved("S16", DIGITS, data={"batch": 2})
    plain, _ = resolved("S16", DIGITS, data={"batch": 1, "augment": {"mixup_alpha": None}})
    assert pretraining.mixed_alone(two.data) is None
    assert pretraining.mixed_alone(plain.data) is None


def test_a_rate_that_is_not_scaled_is_said():
    def rates(images, **overrides):
        return [note for note in resolved("S16", images, **overrides)[1] if "--lr" in note]

    assert rates(DIGITS) == [
        "--lr 0.001 is the recipe's for batches of 1024 and is not scaled to 176; by the square "
        "root it would be --lr 0.00041"
    ]
    assert rates(IMAGENET) == []
    assert len(rates(IMAGENET, data={"batch": 64})) == 1
    assert rates(DIGITS, schedule={"peak_lr": 1e-4}) == rates(MADE_UP) == []
