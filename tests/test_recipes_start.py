"""Every recipe that ships starts: made-up images, a tiny model, two steps. Found, not listed."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from stages.pretrain import run as pretrain_stage
from stages.pretrain.spec import Inputs
from tests import made
from vitctl.artifacts import Store
from vitctl.artifacts.runs import run_of
from vitctl.recipes import finetuning, pretraining
from vitctl.recipes.pretraining import ImageFacts
from vitctl.settings.config import Config
from vitctl.settings.overrides import build, read_toml
from vitctl.settings.trees import merge
from vitctl.train.config import TrainConfig, TrainRuntime
from vitctl.train.telemetry.metrics import read

ROOT = Path(__file__).resolve().parents[1]
PRESETS = "finetune_presets"
"""Tables laid over the fine-tuning recipe: tests/recipes/test_presets.py."""
SHIPPED = sorted(
    path for path in (ROOT / "vitctl" / "recipes").glob("*.toml") if path.stem != PRESETS
)
GRID = "models"
"""What a grid of `vitctl sweep` has, and no recipe: tests/test_study.py, tests/stages/sweep."""
SPEEDRUN = ROOT / "examples" / "speedrun"
"""Its entries have a length of their own: tests/test_speedrun.py."""
EXAMPLES = sorted(
    path
    for path in (ROOT / "examples").rglob("*.toml")
    if GRID not in read_toml(path) and path.parent != SPEEDRUN
)
FINETUNING = "finetune"

TINY = {
    "model": {"width": 16, "depth": 1, "mlp_dim": 16, "heads": 2, "patch": 4, "resolution": 8},
    "data": {"batch": 8, "mock": {"examples": 40, "eval_examples": 16}},
    "precision": "float32",
}
IMAGES = ImageFacts(examples=40, classes=7, eval_split="val")
STEPS = (2, "steps")


def named(recipe: str) -> Config:
    """A shipped recipe at tiny size."""
    cfg = pretraining.resolve(
        model="Ti/4", recipe=recipe, images=IMAGES, duration=STEPS, overrides=TINY
    )
    return build(TrainConfig, merge(cfg.tree, TINY))


def of_file(path: Path) -> Config:
    """Settings of an example at tiny size: all but those of size stay."""
    settings = read_toml(path)
    overrides = merge({}, settings, TINY)
    cfg = pretraining.resolve(
        model=settings["name"],
        recipe=settings.get("recipe"),
        images=IMAGES,
        duration=STEPS,
        overrides=overrides,
    )
    return build(TrainConfig, merge(cfg.tree, overrides))


def fine(store: Store) -> Config:
    """The fine-tuning recipe, of a tiny checkpoint; the trainer is the same."""
    checkpoint = made.checkpoint(store)
    overrides = {"data": TINY["data"]}
    branch = finetuning.resolve(checkpoint, images=IMAGES, duration=STEPS, overrides=overrides)
    return build(TrainConfig, merge(branch.tree, overrides))


@pytest.mark.parametrize("path", [*SHIPPED, *EXAMPLES], ids=lambda path: path.name)
def test_it_starts(path, tmp_path):
    if path in EXAMPLES:
        cfg = of_file(path)
    elif path.stem == FINETUNING:
        cfg = fine(Store(tmp_path / "from"))
    else:
        cfg = named(path.stem)
    done = pretrain_stage.run(
        cfg,
        Inputs(dataset=None),
        store=Store(tmp_path / "store"),
        runtime=TrainRuntime(log_every=1, eval_every=0),
    )
    assert done.step == 2
    losses = [row["loss"] for row in read(run_of(done).metrics) if row["kind"] == "train"]
    assert len(losses) == 2
    assert all(math.isfinite(loss) for loss in losses)


def test_nothing_is_missed():
    assert {path.stem for path in SHIPPED} == {"paper", "small", "little", "finetune"}
    assert EXAMPLES
