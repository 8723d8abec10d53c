"""A grid and facts on its images -> trunks and their branches. Pure: nothing is opened or trained.

A trunk is a model, a dataset size and a value of every axis. On an open-ended schedule it is
trained once, and each duration is a cooldown that branches off it; a schedule that ends by itself
(linear, cosine) is a run of its own for each duration.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise, product
from typing import Any, assert_never

from stages.sweep.sentences import of_a_run
from stages.sweep.spec import GridModel, RateChoice, SweepConfig
from vitctl.advice import fitting
from vitctl.artifacts.canonical import fingerprint
from vitctl.data.config import HELD_OUT
from vitctl.errors import UsageError, VitctlError
from vitctl.events import Emit, silent
from vitctl.model import accounting
from vitctl.optim import frozen
from vitctl.quantities import show_count
from vitctl.quoting import quoted
from vitctl.recipes import pretraining, settings
from vitctl.recipes.pretraining import ImageFacts
from vitctl.settings.overrides import Overrides, check_keys
from vitctl.settings.trees import Tree, from_keys, merge
from vitctl.train.config import TrainConfig

_OF_THE_GRID = {
    "name": "models",
    "schedule.total_steps": "durations",
    "model.width": "models",
    "model.depth": "models",
    "model.mlp_dim": "models",
    "model.heads": "models",
    "model.patch": "models",
}
"""Settings of training that have a place of their own in a grid."""
_REFUSED = {
    "data.mock": "a grid is of a dataset's images",
    "data.first_step": "runs of a grid begin with the first batch",
    "keep_best": "a run of a grid counts with its whole duration",
    "from_schedule": "runs of a grid begin from random weights",
    "from_weights": "runs of a grid begin from random weights",
    "from_head": "runs of a grid begin from random weights",
}
_SEED = "seed"
_PEAK = "schedule.peak_lr"


@dataclass(frozen=True)
class GridBranch:
    """One duration: of `steps`, the last `cooldown` cool down. `cfg` is what `pretrain` trains: the
    trunk up to the cooldown, or, with a cooldown of 0, the whole run, whose schedule ends by
    itself."""

    steps: int
    cooldown: int
    cfg: TrainConfig

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
        return float(self.images * frozen.trained_flops(self.cfg.model, self.cfg.optim))


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
        return sum(
            float(one.steps * one.data.batch * frozen.trained_flops(one.model, one.optim))
            for one in self.candidates
        )


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
        return float(
            steps * self.cfg.data.batch * frozen.trained_flops(self.cfg.model, self.cfg.optim)
        )

    @property
    def flops_apart(self) -> float:
        """Of a run for each duration."""
        return sum(branch.flops for branch in self.branches)

    @property
    def label(self) -> str:
        return label(self.model, self.size, self.axes)

    def with_rate(self, branch: GridBranch, rate: float | None) -> TrainConfig:
        """The settings of a branch with the rate that was chosen."""
        return branch.cfg if rate is None else with_changes(branch.cfg, {_PEAK: rate * self.factor})


def label(model: str, size: int, axes: Mapping[str, Any]) -> str:
    """`S/16 on 10k images, wd_head 3`."""
    names = columns_of(axes)
    parts = [f"{model} on {show_count(size)} images"]
    return ", ".join([*parts, *(f"{names[key]} {_short(value)}" for key, value in axes.items())])


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def columns_of(axes: Mapping[str, Any]) -> dict[str, str]:
    """Axis -> the name of its column: the last part of the key where that is clear."""
    last = {key: key.rsplit(".", 1)[-1] for key in axes}
    counts = Counter(last.values())
    return {
        key: name if counts[name] == 1 and (name not in COLUMNS or key == _SEED) else key
        for key, name in last.items()
    }


COLUMNS = (
    "model", "data_size", "seed", "steps", "trunk_steps", "cooldown_steps", "images_seen", "epochs",
    "batch", "resolution", "lr", "parameters", "flops", "device_seconds", "core_days",
    "core_days_basis", "status", "failure", "dataset", "trunk", "checkpoint", "probes",
)  # fmt: skip
"""Columns of a table, but for those of axes and metrics."""


# ---- Axes and settings


def flat(tree: Mapping[str, Any], *, prefix: str = "") -> dict[str, Any]:
    """Tables and dotted keys as dotted keys."""
    keys: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            keys |= flat(value, prefix=f"{prefix}{key}.")
        else:
            keys[prefix + key] = value
    return keys


def axes_of(cfg: SweepConfig) -> dict[str, tuple[Any, ...]]:
    """Each axis and its values. Raises UsageError for one without any, a value twice, a key that
    training has not, or that has another place in a grid."""
    axes: dict[str, tuple[Any, ...]] = {}
    for key, values in flat(cfg.axes).items():
        if not isinstance(values, list | tuple) or not values:
            raise UsageError(
                f"axes.{key} is no list of values (got {quoted(str(values)[:40])})",
                hint=f"as in {key} = [1, 2]; one value for all runs goes into [settings]",
            )
        values = [None if value == "none" else value for value in values]
        if any(value in values[:place] for place, value in enumerate(values)):
            raise UsageError(f"axes.{key} has a value twice")
        axes[key] = tuple(values)
    _check(axes, table="axes")
    return axes


def settings_of(cfg: SweepConfig) -> dict[str, Any]:
    """The settings of all runs by dotted keys. Raises UsageError as `axes_of`."""
    keys = flat(cfg.settings)
    _check(keys, table="settings")
    return keys


def _check(keys: Mapping[str, Any], *, table: str) -> None:
    for key in keys:
        if key in _OF_THE_GRID:
            raise UsageError(
                f"{table}.{key} is set, which has a place of its own in a grid",
                hint=f"it is {_OF_THE_GRID[key]}",
            )
        for refused, reason in _REFUSED.items():
            if key == refused or key.startswith(f"{refused}."):
                raise UsageError(f"{table}.{key} is set, and {reason}", hint="leave it out")
    check_keys(TrainConfig, from_keys(keys))


# ---- Expanding


def expand(cfg: SweepConfig, images: ImageFacts, *, emit: Emit = silent) -> tuple[GridTrunk, ...]:
    """All trunks of a grid, model by model; `images` are those of the whole dataset.

    Raises UsageError for a size, batch, axis or setting that makes no sense, with the place in the
    grid; two cells that would be the same run are one mistake too.
    """
    axes, common = axes_of(cfg), settings_of(cfg)
    _check_rates(cfg, axes, common)
    sizes = _sizes(cfg, images)
    trunks = []
    for entry in cfg.models:
        for size in sizes:
            for values in product(*axes.values()):
                point = dict(zip(axes, values, strict=True))
                trunks.append(_trunk(cfg, entry, size, point, common, images=images, emit=emit))
    _refuse_twins(trunks)
    if cfg.lr is None:
        return tuple(trunks)
    return tuple(_searched(trunk, trunks, cfg.lr, cfg=cfg) for trunk in trunks)


def _sizes(cfg: SweepConfig, images: ImageFacts) -> list[int]:
    sizes = [size if isinstance(size, int) else images.examples for size in cfg.sizes]
    for size in sizes:
        if size > images.examples:
            raise UsageError(
                f"sizes has {show_count(size)} images, and the dataset has "
                f"{images.examples:,} to train on",
                hint='take smaller sizes; "all" is the whole dataset',
            )
    if len({*sizes}) < len(sizes):
        raise UsageError(f"sizes has a size twice: {', '.join(map(show_count, sizes))}")
    return sizes


def _trunk(
    cfg: SweepConfig,
    entry: GridModel,
    size: int,
    point: Mapping[str, Any],
    common: Mapping[str, Any],
    *,
    images: ImageFacts,
    emit: Emit,
) -> GridTrunk:
    own: dict[str, Any] = {f"model.{name}": value for name, value in entry.sizes.items()}
    if own:
        own["name"] = entry.name
    if entry.lr is not None:
        own[_PEAK] = entry.lr
    if cfg.lr is not None:  # until it is chosen
        own[_PEAK] = cfg.lr.candidates[0]
    tree = from_keys({**common, **point, **own})
    facts = replace(images, examples=size)
    branches = []
    where = label(entry.name, size, point)
    for length in cfg.durations.lengths:
        try:
            branches.append(_branch(cfg, entry, tree, facts, length, emit=emit))
        except VitctlError as error:
            raise of_a_run(error, name=where) from None
    branches.sort(key=lambda branch: branch.steps)
    for one, other in pairwise(branches):
        if one.steps == other.steps:
            raise UsageError(
                f"{where}: two durations are {show_count(one.steps)} steps", hint="leave one out"
            )
        if one.trunk_steps == other.trunk_steps and one.cooldown:
            raise UsageError(
                f"{where}: two durations branch off step {show_count(one.trunk_steps)}",
                hint="take durations that are further apart",
            )
    return GridTrunk(entry, size, point, tuple(branches))


def _branch(
    cfg: SweepConfig,
    entry: GridModel,
    tree: Tree,
    facts: ImageFacts,
    length: tuple[float, Any],
    *,
    emit: Emit,
) -> GridBranch:
    resolved = settings.resolve(
        Overrides(settings=tree),
        model=None if entry.sizes else entry.name,
        recipe=None,
        length=length,
        images=lambda _: facts,
        mock=False,
    )
    resolved.announce(emit)  # refuses a batch of more images than there are
    whole = resolved.cfg
    if not whole.schedule.open_ended:
        return GridBranch(whole.steps, 0, whole)
    trunk, cooldown = divided(cfg, whole.steps, recipe=whole.recipe)
    return GridBranch(
        trunk + cooldown, cooldown, with_changes(whole, {"schedule.total_steps": trunk})
    )


def divided(cfg: SweepConfig, steps: int, *, recipe: Any) -> tuple[int, int]:
    """Steps of a trunk and of the cooldown that ends at `steps`. Raises UsageError."""
    if steps < 2:
        raise UsageError(
            f"a run of {steps} step has no room for a cooldown", hint="take longer durations"
        )
    if cfg.cooldown is not None:
        cooldown = min(steps - 1, max(1, round(steps * cfg.cooldown)))
        return steps - cooldown, cooldown
    split = fitting.split(steps, recipe=recipe)
    if split.trunk + split.cooldown != steps or split.cooldown >= steps:
        raise UsageError(
            f"a run of {show_count(steps)} steps is too short for the cooldown of recipe {recipe}",
            hint="give the share of a run that cools down, as in cooldown = 0.2",
        )
    return split.trunk, split.cooldown


def _refuse_twins(trunks: Sequence[GridTrunk]) -> None:
    names: dict[str, str] = {}
    for trunk in trunks:
        key = fingerprint(
            [trunk.size, [branch.cfg.model_dump(mode="json") for branch in trunk.branches]]
        )
        if key in names:
            raise UsageError(
                f"{names[key]} and {trunk.label} are the same run", hint="leave one of them out"
            )
        names[key] = trunk.label


# ---- Learning rates


def _check_rates(cfg: SweepConfig, axes: Mapping[str, Any], common: Mapping[str, Any]) -> None:
    """Raise UsageError where a learning rate is both given and chosen, or given twice."""
    own = [entry.name for entry in cfg.models if entry.lr is not None]
    places = [
        *(["axes"] if _PEAK in axes else []),
        *(["settings"] if _PEAK in common else []),
        *([f"the model {own[0]}"] if own else []),
        *(["lr"] if cfg.lr is not None else []),
    ]
    if len(places) > 1:
        raise UsageError(
            f"the learning rate is given by {' and by '.join(places)}", hint="keep one of them"
        )
    if cfg.lr is not None and ("data.held_out" in common or "data.held_out" in axes):
        raise UsageError(
            "data.held_out is set, and lr holds out images of its own",
            hint="the share is lr.held_out",
        )


def _searched(
    trunk: GridTrunk, trunks: Sequence[GridTrunk], choice: RateChoice, *, cfg: SweepConfig
) -> GridTrunk:
    """With what chooses its learning rate."""
    source = _source(trunk, trunks, choice)
    factor = 1.0
    match choice.carry:
        case "same":
            pass
        case "inverse-sqrt-width":
            factor = math.sqrt(source.cfg.model.width / trunk.cfg.model.width)
        case "inverse-width":
            factor = source.cfg.model.width / trunk.cfg.model.width
        case _:
            assert_never(choice.carry)
    return replace(trunk, search=_search(source, choice, cfg=cfg), factor=factor)


def _source(trunk: GridTrunk, trunks: Sequence[GridTrunk], choice: RateChoice) -> GridTrunk:
    """The trunk on whose model and images the rate of this one is chosen: of the same axes, with
    the first seed."""

    def axes(one: GridTrunk) -> dict[str, Any]:
        return {key: value for key, value in one.axes.items() if key != _SEED}

    same = [one for one in trunks if axes(one) == axes(trunk)]
    match choice.choose:
        case "each":
            same = [o for o in same if o.entry == trunk.entry and o.size == trunk.size]
        case "model":
            same = [one for one in same if one.entry == trunk.entry]
        case "smallest":
            pass
        case _:
            assert_never(choice.choose)
    # Of equals the first, which has the first seed.
    return min(same, key=lambda one: (accounting.parameters(one.cfg.model).total, -one.size))


def _search(source: GridTrunk, choice: RateChoice, *, cfg: SweepConfig) -> RateSearch:
    where = f"the choice of a learning rate for {source.label}"
    before = source.cfg
    schedule: dict[str, Any] = {"schedule.total_steps": choice.steps}
    if source.is_shared:
        try:
            _, cooldown = divided(cfg, choice.steps, recipe=before.recipe)
        except UsageError as error:
            raise of_a_run(error, name=where) from None
        schedule |= {
            "schedule.cooldown_steps": cooldown,
            "schedule.cooldown_shape": cfg.cooldown_shape,
        }
    elif before.schedule.cooldown_steps is not None:
        share = before.schedule.cooldown_steps / before.steps
        schedule["schedule.cooldown_steps"] = max(1, round(choice.steps * share))
    if 2 * before.schedule.warmup_steps > choice.steps:
        raise UsageError(
            f"{where}: lr.steps={choice.steps} is mostly warmup, which takes "
            f"{show_count(before.schedule.warmup_steps)} steps",
            hint="take more steps, or a shorter warmup: schedule.warmup_steps in [settings]",
        )
    left = pretraining.without_held_out(source.size, share=choice.held_out)
    if before.data.batch > left:
        raise UsageError(
            f"{where}: a batch of {before.data.batch} images is larger than the {left} that "
            f"lr.held_out={choice.held_out:g} leaves",
            hint="hold out fewer, or set a smaller data.batch in [settings]",
        )
    held_out = {"data.held_out": choice.held_out, "data.eval_split": HELD_OUT}
    candidates = tuple(
        with_changes(before, {**schedule, **held_out, _PEAK: rate}) for rate in choice.candidates
    )
    return RateSearch(source.model, source.size, candidates)


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
