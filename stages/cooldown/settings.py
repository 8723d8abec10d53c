"""What a user gives -> the settings of `vitctl cooldown`; needs no terminal."""

from __future__ import annotations

from vitctl.artifacts import Artifact
from vitctl.events import Caution, Doing, Emit, Note
from vitctl.optim.schedules import CooldownShape
from vitctl.recipes import branching, measuring, settings
from vitctl.settings.overrides import Overrides
from vitctl.summaries import WeightsName
from vitctl.train.config import TrainConfig


def resolve(
    overrides: Overrides,
    checkpoint: Artifact,
    *,
    steps: int | None,
    shape: CooldownShape,
    weights: WeightsName,
    emit: Emit,
) -> TrainConfig:
    """The checkpoint's own settings, with a cooldown of `steps` from there on."""
    waiting = branching.unfinished_before(checkpoint)
    if waiting is not None:
        emit(Caution(waiting))
    branching.check_no_sequences(overrides.tree())
    branch = branching.cooled(checkpoint, steps=steps, shape=shape)
    if weights == "ema":
        branch.tree["from_weights"] = measuring.weights(checkpoint, requested=weights).name
    for note in branch.notes:
        emit(Note(note))
    cfg = settings.built(overrides, branch.tree)
    branching.check_goes_on(cfg, checkpoint)
    emit(Doing("import"))
    return cfg
