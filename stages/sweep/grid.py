"""A grid and facts on its images -> trunks and their branches. Pure: nothing is opened or trained.

A trunk is a model, a dataset size and a value of every axis. On an open-ended schedule it is
trained once, and each duration is a cooldown that branches off it; a schedule that ends by itself
(linear, cosine) is a run of its own for each duration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

from stages.sweep.axes import axes_of, settings_of
from stages.sweep.searches import check_rates, searched
from stages.sweep.sentences import of_a_run
from stages.sweep.spec import GridModel, SweepConfig
from stages.sweep.trunks import (
    PEAK_LR,
    SHAPE,
    GridBranch,
    GridTrunk,
    by_column,
    divided,
    label,
    with_changes,
)
from vitctl.artifacts.canonical import fingerprint
from vitctl.errors import UsageError, VitctlError
from vitctl.events import Emit, silent
from vitctl.recipes import settings
from vitctl.recipes.pretraining import ImageFacts
from vitctl.settings.overrides import Overrides
from vitctl.settings.trees import Tree, from_keys
from vitctl.text.quantities import show_count


def expand(cfg: SweepConfig, images: ImageFacts, *, emit: Emit = silent) -> tuple[GridTrunk, ...]:
    """All trunks of a grid, model by model; `images` are those of the whole dataset.

    Raises UsageError for a size, batch, axis or setting that makes no sense, with the place in the
    grid; two cells that would be the same run are one mistake too.
    """
    axes, common = axes_of(cfg), settings_of(cfg)
    check_rates(cfg, axes, common)
    if len(cfg.cooldown_shapes) > 1 and SHAPE in by_column(axes):
        raise UsageError(
            f"cooldown_shape is a list, and axes.schedule.{SHAPE} is another",
            hint="keep one of them: the grid's own is of cooldowns that branch off a trunk",
        )
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
    return tuple(searched(trunk, trunks, cfg.lr, cfg=cfg) for trunk in trunks)


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
        own[PEAK_LR] = entry.lr
    if cfg.lr is not None:  # until it is chosen
        own[PEAK_LR] = cfg.lr.candidates[0]
    tree = from_keys({**common, **point, **own})
    facts = replace(images, examples=size)
    branches = []
    where = label(entry.name, size, point)
    for length in cfg.durations.lengths:
        try:
            branches += _branches(cfg, entry, tree, facts, length, emit=emit)
        except VitctlError as error:
            raise of_a_run(error, name=where) from None
    branches.sort(key=lambda branch: branch.steps)
    for one, other in pairwise(branch for branch in branches if branch.shape == branches[0].shape):
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


def _branches(
    cfg: SweepConfig,
    entry: GridModel,
    tree: Tree,
    facts: ImageFacts,
    length: tuple[float, Any],
    *,
    emit: Emit,
) -> list[GridBranch]:
    """Of one duration: a cooldown of each shape, or the run whose schedule ends by itself."""
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
    several = len(cfg.cooldown_shapes) > 1
    if not whole.schedule.open_ended:
        return [GridBranch(whole.steps, 0, whole, axes={SHAPE: "none"} if several else {})]
    trunk, cooldown = divided(cfg, whole.steps, recipe=whole.recipe)
    begin = with_changes(whole, {"schedule.total_steps": trunk})
    return [
        GridBranch(trunk + cooldown, cooldown, begin, shape, {SHAPE: shape} if several else {})
        for shape in cfg.cooldown_shapes
    ]


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
