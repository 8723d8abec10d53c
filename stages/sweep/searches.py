"""The short runs that choose the learning rate of a trunk, and how the rate is carried over."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, assert_never

from stages.sweep.sentences import of_a_run
from stages.sweep.spec import RateChoice, SweepConfig
from stages.sweep.trunks import PEAK_LR, SEED, GridTrunk, RateSearch, divided, with_changes
from vitctl.data.config import HELD_OUT
from vitctl.errors import UsageError
from vitctl.model import accounting
from vitctl.recipes import pretraining
from vitctl.text.quantities import show_count


def check_rates(cfg: SweepConfig, axes: Mapping[str, Any], common: Mapping[str, Any]) -> None:
    """Raise UsageError where a learning rate is both given and chosen, or given twice."""
    own = [entry.name for entry in cfg.models if entry.lr is not None]
    places = [
        *(["axes"] if PEAK_LR in axes else []),
        *(["settings"] if PEAK_LR in common else []),
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


def searched(
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
        return {key: value for key, value in one.axes.items() if key != SEED}

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
            "schedule.cooldown_shape": cfg.cooldown_shapes[0],
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
        with_changes(before, {**schedule, **held_out, PEAK_LR: rate}) for rate in choice.candidates
    )
    return RateSearch(source.model, source.size, candidates)
