"""What the fine-tunings will take, before any begins: by the settings each is going to have."""

from __future__ import annotations

from dataclasses import replace

from stages.vtab.spec import PRESET, Inputs, TaskData, VtabConfig
from vitctl import quantities
from vitctl.artifacts import Artifact
from vitctl.events import Emit, Settings
from vitctl.model import accounting
from vitctl.optim import frozen
from vitctl.recipes import finetuning, pretraining
from vitctl.recipes.recipe import load_finetune
from vitctl.settings.overrides import Overrides
from vitctl.settings.trees import Tree, from_keys, merge
from vitctl.train.config import TrainConfig

_BYTES = {"float32": 4, "bfloat16": 2}


def settings_of(cfg: VtabConfig, one: TaskData) -> Tree:
    """The settings of a dataset's fine-tuning that are not the preset's."""
    keys = {
        "data.batch": cfg.batch,
        "data.split": cfg.train_split,
        "data.eval_split": one.split,
        "model.resolution": cfg.resolution,
        "schedule.peak_lr": cfg.lr,
        "schedule.warmup_steps": cfg.warmup,
        "seed": cfg.seed,
    }
    given = {key: value for key, value in keys.items() if value is not None}
    return merge({}, cfg.finetune, from_keys(given))


def trained_with(cfg: VtabConfig, checkpoint: Artifact, one: TaskData) -> TrainConfig:
    """The settings of a dataset's fine-tuning, as `vitctl finetune` resolves them, before images
    are drawn. Raises UsageError."""
    facts = pretraining.images_of(one.dataset, split=cfg.train_split)
    tree = settings_of(cfg, one)
    branch = finetuning.resolve(
        checkpoint,
        images=replace(facts, examples=min(facts.examples, cfg.images)),
        duration=None if cfg.steps is None else (cfg.steps, "steps"),
        overrides=tree,
        preset=PRESET,
    )
    return Overrides(settings=tree).build(TrainConfig, branch.tree)


def announced(cfg: VtabConfig, inputs: Inputs, *, emit: Emit) -> None:
    """Say what will be trained and what that takes; in FLOPs, as time depends on the machine."""
    configs = [trained_with(cfg, inputs.checkpoint, one) for one in inputs.tasks]
    runs = 1 + len(cfg.sweep_lr or ())
    images = sum(c.steps * c.data.batch for c in configs) * runs
    flops = (
        sum(c.steps * c.data.batch * frozen.trained_flops(c.model, c.optim) for c in configs) * runs
    )
    stored = sum(map(_bytes, configs)) * runs
    first = configs[0]
    rates = ", ".join(f"{rate:g}" for rate in cfg.sweep_lr or (first.schedule.peak_lr,))
    chosen = "" if cfg.sweep_lr is None else f", chosen on {load_finetune(PRESET).hold_out:.0%}"
    emit(
        Settings(
            "VTAB-1k",
            {
                "datasets": f"{len(configs)}, {runs} fine-tuning{'s' if runs > 1 else ''} each",
                "each": f"{_range([c.steps for c in configs])} steps of "
                f"{_range([c.data.batch for c in configs])} images at "
                f"{first.model.resolution} px, rate {rates}{chosen}",
                "in all": f"{images:,} images, {flops:.3g} FLOPs",
                "on disk": f"about {quantities.show_bytes(stored)}: the last checkpoint of each",
            },
        )
    )


def _bytes(cfg: TrainConfig) -> int:
    """Of the last checkpoint of a run: its weights, their average if it has one, and momentum."""
    each = _BYTES["float32"] * (1 if cfg.optim.ema is None else 2)
    each += _BYTES[cfg.optim.momentum_dtype]
    return accounting.parameters(cfg.model).total * each


def _range(values: list[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
