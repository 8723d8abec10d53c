"""Defaults that help pages tell as numbers are those that commands take."""

from __future__ import annotations

import re

import pytest

from stages.app import load
from vitctl.recipes import few_images, pretraining, recipe
from vitctl.text.quantities import show_count
from vitctl.train.config import TrainRuntime
from vitctl.train.run.cadence import Cadence


def help_of(command, option):
    """The help of an option."""
    (text,) = (p.help for p in load(command).params if option in p.opts)
    return text


@pytest.mark.parametrize("command", ["pretrain", "cooldown", "finetune"])
def test_checkpoints(command):
    assert "a tenth of the run, at most 1000" in help_of(command, "--checkpoint-every")
    assert "as --checkpoint-every" in help_of(command, "--eval-every")
    assert "a tenth of the run, in multiples of --checkpoint-every" in help_of(
        command, "--keep-every"
    )
    for total, saves, keeps in ((500, 50, 50), (10_000, 1000, 1000), (95_000, 1000, 10_000)):
        cadence = Cadence.of(TrainRuntime(), first_step=0, total=total)
        assert (cadence.save, cadence.evaluate, cadence.keep) == (saves, saves, keeps)
    default = re.search(r"default: (\d+)", help_of(command, "--keep-newest"))[1]
    assert int(default) == TrainRuntime().keep_newest


def test_lengths():
    cooldown = help_of("cooldown", "--steps")
    small, little, paper = (recipe.load(name).cooldown for name in ("small", "little", "paper"))
    assert (
        f"{small.share:.0%} of the checkpoint's step with the recipes small and little" in cooldown
    )
    assert little.share == small.share
    shortest, longest = paper.of(trunk=1), paper.of(trunk=10**9)
    assert f"{show_count(shortest)} to {show_count(longest)} with paper" in cooldown
    duration = recipe.load_finetune().duration
    finetune = help_of("finetune", "--steps")
    assert f"{show_count(duration.steps)}, or {duration.epochs:g} epochs" in finetune


def test_sizes_of_fine_tuning():
    rule = recipe.load_finetune().resolution
    text = help_of("finetune", "--res")
    assert f"{rule.smaller}, from ViT-g on {rule.larger}, for models" in text
    assert f"pretrained at {rule.pretrained} px; others keep their size" in text
    assert rule.below_width == pretraining.variants.parse("g/14").variant.width
    assert [rule.of(width=192, resolution=side) for side in (32, 224, 256)] == [32, 384, 256]


@pytest.mark.parametrize(
    ("width", "examples", "name"),
    [(1408, 10, "paper"), (1407, 10, "small"), (384, 10**6, "paper"), (384, 10**6 - 1, "small")],
)
def test_the_recipe(width, examples, name):
    text = help_of("pretrain", "--recipe")
    assert "paper for 1M images or more and for models from g/14 on, else small" in text
    assert f"little, for fewer than {show_count(few_images.FEW)} images" in text
    assert pretraining.choose(width=width, examples=examples)[0] == name
    assert pretraining.variants.parse("g/14").variant.width == 1408


def test_the_models_that_recipes_train_where_none_is_named():
    text = help_of("pretrain", "--model")
    models = {name: recipe.load(name).model for name in ("small", "paper", "little")}
    assert models["small"] == models["paper"]
    assert f"default: {models['small']}, or {models['little']} with the recipe little" in text


def test_every_command_counts_a_total():
    for command in ("pretrain", "finetune", "plan"):
        for option in ("--steps", "--images", "--epochs"):
            assert help_of(command, option).startswith("Total length"), (command, option)
