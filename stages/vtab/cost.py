"""What the fine-tunings will take, before any begins: by the settings each is going to have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from stages.vtab.spec import PRESET, Inputs, TaskData, VtabConfig
from vitctl.artifacts import Artifact
from vitctl.artifacts.kinds import DATASET
from vitctl.artifacts.references import plain_name
from vitctl.events import Emit, Settings
from vitctl.measures.vtab import TASKS
from vitctl.model import accounting
from vitctl.optim import frozen
from vitctl.recipes import finetuning, pretraining
from vitctl.recipes.recipe import load_finetune
from vitctl.settings.overrides import Overrides
from vitctl.settings.trees import Tree, from_keys, merge
from vitctl.text import quantities
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


@dataclass(frozen=True)
class PlannedTask:
    """A dataset's fine-tuning: its settings, images drawn and scored, learning rates to choose
    from, and what all of its fine-tunings take."""

    one: TaskData
    cfg: TrainConfig
    train_examples: int
    examples: int
    rates: tuple[float, ...]
    fine_tunings: int

    @property
    def images(self) -> int:
        """That are trained on, each as often as it is."""
        return self.cfg.steps * self.cfg.data.batch * self.fine_tunings

    @property
    def flops(self) -> float:
        return float(self.images * frozen.trained_flops(self.cfg.model, self.cfg.optim))

    @property
    def bytes(self) -> int:
        """Of the last checkpoints in the store."""
        return _bytes(self.cfg) * self.fine_tunings

    def as_json(self) -> dict[str, Any]:
        return {
            "task": self.one.task.name,
            "group": self.one.task.group,
            "dataset": plain_name(self.one.dataset),
            "train_examples": self.train_examples,
            "split": self.one.split,
            "examples": self.examples,
            "steps": self.cfg.steps,
            "batch": self.cfg.data.batch,
            "resolution": self.cfg.model.resolution,
            "rates": [*self.rates],
            "fine_tunings": self.fine_tunings,
            "images": self.images,
            "flops": self.flops,
            "bytes": self.bytes,
        }


@dataclass(frozen=True)
class VtabPlan:
    """What a table takes: its fine-tunings, in the order in which they are trained; `missing` are
    VTAB's tasks that are not among them."""

    tasks: tuple[PlannedTask, ...]
    missing: tuple[str, ...]

    @property
    def images(self) -> int:
        return sum(task.images for task in self.tasks)

    @property
    def flops(self) -> float:
        return sum(task.flops for task in self.tasks)

    @property
    def bytes(self) -> int:
        return sum(task.bytes for task in self.tasks)

    def as_json(self) -> dict[str, Any]:
        """The object of `vitctl vtab --dry-run --json`; docs/schemas/vtab_plan.schema.json."""
        return {
            "kind": "vtab-plan",
            "tasks": [task.as_json() for task in self.tasks],
            "missing": [*self.missing],
            "images": self.images,
            "flops": self.flops,
            "bytes": self.bytes,
        }


def planned(cfg: VtabConfig, inputs: Inputs) -> VtabPlan:
    """What will be trained, whether or not some of it is there already. Raises UsageError."""
    tasks = []
    for one in inputs.tasks:
        trained = trained_with(cfg, inputs.checkpoint, one)
        examples = DATASET.summary(one.dataset).examples
        tasks.append(
            PlannedTask(
                one=one,
                cfg=trained,
                train_examples=min(cfg.images, examples[cfg.train_split]),
                examples=examples[one.split],
                rates=cfg.sweep_lr or (trained.schedule.peak_lr,),
                fine_tunings=1 + len(cfg.sweep_lr or ()),
            )
        )
    names = {one.task.name for one in inputs.tasks}
    return VtabPlan(tuple(tasks), tuple(name for name in TASKS if name not in names))


def announced(cfg: VtabConfig, inputs: Inputs, *, emit: Emit) -> None:
    """Say what will be trained and what that takes; in FLOPs, as time depends on the machine."""
    plan = planned(cfg, inputs)
    configs, first = [task.cfg for task in plan.tasks], plan.tasks[0]
    rates = ", ".join(f"{rate:g}" for rate in first.rates)
    chosen = "" if cfg.sweep_lr is None else f", chosen on {load_finetune(PRESET).hold_out:.0%}"
    runs = first.fine_tunings
    emit(
        Settings(
            "VTAB-1k",
            {
                "datasets": f"{len(configs)}, {quantities.plural(runs, 'fine-tuning')} each",
                "each": f"{_range([c.steps for c in configs])} steps of "
                f"{_range([c.data.batch for c in configs])} images at "
                f"{first.cfg.model.resolution} px, rate {rates}{chosen}",
                **totals(plan),
            },
        )
    )


def totals(plan: VtabPlan) -> dict[str, str]:
    return {
        "in all": f"{plan.images:,} images, {plan.flops:.3g} FLOPs",
        "on disk": f"about {quantities.show_bytes(plan.bytes)}: the last checkpoint of each",
    }


def _bytes(cfg: TrainConfig) -> int:
    """Of the last checkpoint of a run: its weights, their average if it has one, and momentum."""
    each = _BYTES["float32"] * (1 if cfg.optim.ema is None else 2)
    each += _BYTES[cfg.optim.momentum_dtype]
    return accounting.parameters(cfg.model).total * each


def _range(values: list[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
