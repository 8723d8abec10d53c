"""Where a run begins: random weights, or the state of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding

from vitctl import checkpoints
from vitctl import mesh as meshes
from vitctl.artifacts.artifact import Artifact
from vitctl.data.digest import ConsumedSamples
from vitctl.errors import InputError
from vitctl.train import state as states
from vitctl.train.config import TrainConfig
from vitctl.train.state import TrainState


@dataclass(frozen=True)
class Start:
    """Where a run begins when it has no checkpoint of its own.

    `state` makes the arrays with a given sharding; `consumed` is what was seen before `step`.
    """

    step: int
    state: Callable[[NamedSharding], TrainState]
    consumed: ConsumedSamples


def scratch(cfg: TrainConfig) -> Start:
    """Random weights, nothing seen."""
    return Start(0, lambda sharding: states.fresh(cfg, sharding=sharding), ConsumedSamples())


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
    return Start(step, lambda sharding: _restore(cfg, checkpoint, sharding=sharding), consumed)


def _restore(cfg: TrainConfig, checkpoint: Artifact, *, sharding: NamedSharding) -> TrainState:
    like = meshes.like(states.shapes(cfg), sharding)
    return TrainState(
        params=checkpoints.restore(checkpoint.path, checkpoints.PARAMS, like=like.params),
        opt=checkpoints.restore(checkpoint.path, checkpoints.OPT, like=like.opt),
        finite=jax.device_put(jnp.bool_(True), sharding),
    )
