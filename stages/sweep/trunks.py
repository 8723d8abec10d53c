"""Trunks and their branches as values: their settings, compute and labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from stages.sweep.spec import GridModel, SweepConfig
from vitctl.advice import fitting
from vitctl.artifacts.canonical import fingerprint
from vitctl.errors import UsageError
from vitctl.optim import frozen
from vitctl.optim.schedules import CooldownShape
from vitctl.settings.overrides import Overrides
from vitctl.settings.trees import Tree, from_keys, merge
from vitctl.text.quantities import show_count
from vitctl.train.config import TrainConfig

SEED = "seed"
PEAK_LR = "schedule.peak_lr"
SHAPE = "cooldown_shape"


@dataclass(frozen=True)
class GridBranch:
    """One duration: of `steps`, the last `cooldown` cool down. `cfg` is what `pretrain` trains: the
    trunk up to the cooldown, or, with a cooldown of 0, the whole run, whose schedule ends by
    itself. `axes` are columns in which branches of one trunk differ besides."""

    steps: int
    cooldown: int
    cfg: TrainConfig
    shape: CooldownShape = "linear"
    axes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def trunk_steps(self) -> int:
        return self.steps - self.cooldown

    @property
    def images(self) -> int:
        """Images seen, cooldown included."""
        return self.steps * self.cfg.data.batch

    @property
    def flops(self) -> float:
        """Of this run alone."""
        return flops_of(self.cfg, images=self.images)


@dataclass(frozen=True)
class RateSearch:
    """Short runs that choose a learning rate: a model on so many images, `candidates` in the order
    of the rates."""

    model: str
    size: int
    candidates: tuple[TrainConfig, ...]

    @cached_property
    def key(self) -> str:
        """The same for the same runs."""
        return fingerprint([self.size, [one.identity() for one in self.candidates]])

    @property
    def flops(self) -> float:
        return sum(flops_of(one, images=one.steps * one.data.batch) for one in self.candidates)


@dataclass(frozen=True)
class GridTrunk:
    """A model on a training set with a value of every axis, and its branches, the shortest first.

    search   chooses its learning rate; None: it is given
    factor   what the rate that was chosen is multiplied with
    """

    entry: GridModel
    size: int
    axes: Mapping[str, Any]
    branches: tuple[GridBranch, ...]
    search: RateSearch | None = None
    factor: float = 1.0

    @property
    def cfg(self) -> TrainConfig:
        """That of its longest branch."""
        return self.branches[-1].cfg

    @property
    def model(self) -> str:
        """As people are shown it."""
        return self.cfg.label

    @property
    def is_shared(self) -> bool:
        """Whether its branches have one trunk."""
        return self.branches[0].cooldown > 0

    @property
    def flops(self) -> float:
        """Of the trunk and its cooldowns."""
        if not self.is_shared:
            return self.flops_apart
        steps = self.branches[-1].trunk_steps + sum(branch.cooldown for branch in self.branches)
        return flops_of(self.cfg, images=steps * self.cfg.data.batch)

    @property
    def flops_apart(self) -> float:
        """Of a run for each duration."""
        return sum(branch.flops for branch in self.branches)

    @property
    def label(self) -> str:
        return label(self.model, self.size, self.axes)

    def columns_of(self, branch: GridBranch) -> dict[str, Any]:
        """The values of axes of a branch by the names of their columns."""
        return {**by_column(self.axes), **branch.axes}

    def label_of(self, branch: GridBranch) -> str:
        """`S/16 on 10k images, wd_head 3, 40k images seen`."""
        return f"{label(self.model, self.size, {**self.axes, **branch.axes})}, " + (
            f"{show_count(branch.images)} images seen"
        )

    def with_rate(self, branch: GridBranch, rate: float | None) -> TrainConfig:
        """The settings of a branch with the rate that was chosen."""
        return (
            branch.cfg if rate is None else with_changes(branch.cfg, {PEAK_LR: rate * self.factor})
        )


def flops_of(cfg: TrainConfig, *, images: int) -> float:
    """Of training on so many images."""
    return float(images * frozen.trained_flops(cfg.model, cfg.optim))


def label(model: str, size: int, axes: Mapping[str, Any]) -> str:
    """`S/16 on 10k images, wd_head 3`."""
    values = (f"{name} {in_short(value)}" for name, value in by_column(axes).items())
    return ", ".join([f"{model} on {show_count(size)} images", *values])


def in_short(value: Any) -> str:
    """The value of an axis for people."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def by_column(axes: Mapping[str, Any]) -> dict[str, Any]:
    """The values of axes by the names of their columns: the last part of the key where that is
    clear."""
    last = {key: key.rsplit(".", 1)[-1] for key in axes}
    counts = Counter(last.values())
    return {
        name if counts[name] == 1 and (name not in COLUMNS or key == SEED) else key: axes[key]
        for key, name in last.items()
    }


COLUMNS = (
    "model", "data_size", "seed", "steps", "trunk_steps", "cooldown_steps", "images_seen", "epochs",
    "batch", "resolution", "lr", "parameters", "flops", "device_seconds", "core_days",
    "core_days_basis", "status", "failure", "dataset", "trunk", "checkpoint", "probes",
)  # fmt: skip
"""Columns of a table, but for those of axes and metrics."""


def divided(cfg: SweepConfig, steps: int, *, recipe: Any) -> tuple[int, int]:
    """Steps of a trunk and of the cooldown that ends at `steps`. Raises UsageError."""
    if steps < 2:
        raise UsageError(
            f"a run of {steps} step has no room for a cooldown", hint="take longer durations"
        )
    if cfg.cooldown is not None:
        parts = fitting.split_by(cfg.cooldown, steps=steps)
        return parts.trunk, parts.cooldown
    split = fitting.split(steps, recipe=recipe)
    if split.trunk + split.cooldown != steps or split.cooldown >= steps:
        raise UsageError(
            f"a run of {show_count(steps)} steps is too short for the cooldown of recipe {recipe}",
            hint="give the share of a run that cools down, as in cooldown = 0.2",
        )
    return split.trunk, split.cooldown


def with_changes(cfg: TrainConfig, changes: Mapping[str, Any]) -> TrainConfig:
    """The settings with others, by dotted keys. Raises UsageError."""
    tree = merge(cfg.model_dump(mode="json"), from_keys(changes))
    return Overrides(settings=tree).build(TrainConfig, {})


def as_settings(cfg: TrainConfig) -> Tree:
    """What `set=` of `pretrain` takes for exactly these settings, without the length."""
    tree = cfg.model_dump(mode="json")
    del tree["schedule"]["total_steps"]
    return tree


def searches_of(trunks: Sequence[GridTrunk]) -> dict[str, RateSearch]:
    """The choices of a learning rate that these need, each once."""
    return {one.search.key: one.search for one in trunks if one.search is not None}


def branches_by_cost(trunks: Sequence[GridTrunk]) -> list[tuple[GridTrunk, GridBranch]]:
    """All branches, the cheapest first: of one trunk the shorter before the longer, as they have to
    be."""
    pairs = [(trunk, branch) for trunk in trunks for branch in trunk.branches]
    return sorted(pairs, key=lambda pair: pair[1].flops)
