"""A checkpoint -> the settings of what branches off it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.kinds import CHECKPOINT
from vitctl.artifacts.runs import Run, run_of
from vitctl.errors import UsageError, VitctlError
from vitctl.optim.schedules import OPEN_ENDED, CooldownShape, ScheduleConfig
from vitctl.places import Place
from vitctl.recipes.recipe import load
from vitctl.settings.trees import Tree
from vitctl.text.quantities import show_count
from vitctl.train.carried_over import trained_with
from vitctl.train.config import TrainConfig

IMPORT = "import"
"""The stage whose checkpoints no training of ours made."""
AVERAGE = "average"
"""The stage whose checkpoints are means of others."""


@dataclass(frozen=True)
class Branch:
    """Settings for `TrainConfig`, and the sentences that say how they came about."""

    tree: dict[str, Any]
    notes: tuple[str, ...]
    before: tuple[Tree, ...] = ()
    """What earlier versions would have chosen differently, the newest first: their runs are
    continued."""


def cooled(checkpoint: Artifact, *, steps: int | None, shape: CooldownShape) -> Branch:
    """The trunk's settings with a cooldown from here on.

    Raises UsageError for a checkpoint whose learning rate is already falling to 0; the hint names
    one that is not.
    """
    cfg = trained_with(checkpoint)
    trunk = trunk_of(checkpoint)
    at = checkpoint.step
    assert at is not None  # see trained_with
    notes = []
    if steps is None:
        steps = load(cfg.recipe).cooldown.of(trunk=at)
        notes.append(
            f"--steps {show_count(steps)} (the {cfg.recipe} recipe's rule for a trunk of "
            f"{show_count(at)} steps)"
        )
    if steps < 1:
        raise UsageError(f"a cooldown takes at least one step, not {steps}")
    schedule = trunk.cooled(at_step=at, cooldown_steps=steps, shape=shape)
    tree = cfg.model_dump(mode="json") | {"schedule": schedule.model_dump(mode="json")}
    # How the trunk began is its own affair.
    tree |= {"from_weights": "raw", "from_schedule": None, "from_head": "keep"}
    tree["procedural"] = None
    return Branch(tree, tuple(notes))


def check_no_sequences(requested: Tree) -> None:
    """Raise UsageError for settings of a run from random weights in those that a user gave."""
    if requested.get("procedural") is not None:
        raise UsageError(
            "procedural is of a run from random weights, and this one begins from a checkpoint",
            hint="leave it out: its blocks have learnt from images already",
        )


def unfinished_before(checkpoint: Artifact) -> str | None:
    """A sentence on a cooldown off an earlier step of the same run that waits to be continued:
    a run that is named without a step means its newest one, which may have moved on since."""
    run = run_of(checkpoint)
    if run is None:
        return None
    for step, by in reversed(run.pins.held()):
        if step < (checkpoint.step or 0) and _waits(by):
            again = shlex.quote(f"{run.path}@{step}")
            return f"{by} off step {show_count(step)} is unfinished; to continue it: --from {again}"
    return None


def _waits(place: Place) -> bool:
    try:
        run = Run.load(place)
    except VitctlError:
        return False
    return run.info.stage == "cooldown" and not run.is_working


def check_goes_on(cfg: TrainConfig, checkpoint: Artifact) -> None:
    """Raise UsageError for settings that end where the checkpoint is, or before."""
    if cfg.steps <= (checkpoint.step or 0):
        raise UsageError(
            f"schedule.total_steps={cfg.steps} ends before step {checkpoint.step}, where the "
            "cooldown begins",
            hint="give the length of the cooldown: --steps",
        )


def is_cooled(checkpoint: Artifact) -> bool:
    """Whether this checkpoint is the end of a schedule, or what its run chose in place of that: a
    finished model."""
    if CHECKPOINT.summary(checkpoint).finished_schedule:
        return True
    if checkpoint.setting("keep_best") is None:
        return False
    run = run_of(checkpoint)
    return run is not None and run.info.chosen == checkpoint.step


def may_be_chosen(checkpoint: Artifact) -> bool:
    """Whether this checkpoint may be what its run chose as the best, and the run, which would tell,
    is out of reach: the checkpoint was copied out of it."""
    return checkpoint.setting("keep_best") is not None and run_of(checkpoint) is None


def off_schedule(checkpoint: Artifact) -> str | None:
    """What a checkpoint is that never was on a schedule, as the rest of a sentence about it."""
    return {
        IMPORT: "was imported, without the schedule that it was trained on",
        AVERAGE: "is a mean of checkpoints, which is on no schedule",
    }.get(checkpoint.manifest.stage)


def trunk_of(checkpoint: Artifact) -> ScheduleConfig:
    """The open-ended schedule that a checkpoint is on.

    Raises UsageError for one that is on none: it was imported, its schedule ends by itself, or its
    learning rate is already falling to 0; then the hint names one that is.
    """
    if (why := off_schedule(checkpoint)) is not None:
        raise UsageError(
            f"{checkpoint.path} {why}",
            hint="go on with its weights on images of yours: vitctl finetune --from "
            f"{shlex.quote(str(checkpoint.path))} --data DATASET (or vitctl pretrain)",
        )
    schedule, at = trained_with(checkpoint).schedule, checkpoint.step
    assert at is not None  # see trained_with
    if schedule.open_ended:
        return schedule
    if schedule.kind not in OPEN_ENDED:
        raise UsageError(
            f"{checkpoint.path} was trained on a {schedule.kind} schedule, which ends by itself",
            hint="cooldowns branch off rsqrt, constant and trapezoid schedules",
        )
    assert schedule.total_steps is not None  # a cooldown has an end: validated
    assert schedule.cooldown_steps is not None
    began = schedule.total_steps - schedule.cooldown_steps
    if at <= began:
        fields = schedule.model_dump() | {"total_steps": None, "cooldown_steps": None}
        return ScheduleConfig.model_validate(fields)
    raise UsageError(
        f"{checkpoint.path} is already cooling down since step {show_count(began)}",
        hint=f"branch from {_uncooled(checkpoint, began)}",
    )


def _uncooled(checkpoint: Artifact, began: int) -> str:
    source = checkpoint.manifest.parent("from")
    if source is not None and source.path:
        return source.path
    run = run_of(checkpoint)
    steps = [step for step in run.steps() if step <= began] if run else []
    return f"{run.path}@{steps[-1]}" if run and steps else f"step {show_count(began)} or before"
