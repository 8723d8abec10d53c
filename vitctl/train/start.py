"""Where a run begins: random weights, or the state of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vitctl import checkpoints
from vitctl.artifacts.artifact import Artifact
from vitctl.data.digest import ConsumedSamples
from vitctl.errors import InputError
from vitctl.sharding import layout as layouts
from vitctl.sharding.layout import Layout
from vitctl.train import state as states
from vitctl.train.config import TrainConfig
from vitctl.train.state import TrainState


@dataclass(frozen=True)
class Start:
    """Where a run begins when it has no checkpoint of its own.

    `state` makes the arrays in a given layout; `consumed` is what was seen before `step`.
    """

    step: int
    state: Callable[[Layout], TrainState]
    consumed: ConsumedSamples


def scratch(cfg: TrainConfig) -> Start:
    """Random weights, nothing seen."""
    return Start(0, lambda layout: states.fresh(cfg, layout=layout), ConsumedSamples())


def continued(cfg: TrainConfig, checkpoint: Artifact) -> Start:
    """The whole state of a checkpoint: the branch goes on where the trunk was.

    Raises InputError if its bytes are not those that were published.
    """
    checkpoint.require_whole()
    return of_checkpoint(cfg, checkpoint)


def of_checkpoint(cfg: TrainConfig, checkpoint: Artifact) -> Start:
    """Like `continued`, for a checkpoint whose bytes were just checked."""
    position = checkpoints.read_position(checkpoint.path)
    try:
        step = int(position["step"])
        consumed = ConsumedSamples.from_json(position["consumed"])
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{checkpoint.path / checkpoints.POSITION} is damaged") from None
    return Start(step, lambda layout: _restore(cfg, checkpoint, layout=layout), consumed)


def _restore(cfg: TrainConfig, checkpoint: Artifact, *, layout: Layout) -> TrainState:
    like = layouts.like(states.shapes(cfg), states.shardings(cfg, layout))
    return TrainState(
        params=checkpoints.restore(checkpoint.path, checkpoints.PARAMS, like=like.params),
        opt=checkpoints.restore(checkpoint.path, checkpoints.OPT, like=like.opt),
        finite=layout.place(True),
    )
