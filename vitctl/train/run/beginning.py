"""Where a run begins: random weights, or the state of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from vitctl.artifacts import crew
from vitctl.artifacts.artifact import Artifact
from vitctl.checkpoints import arrays, position
from vitctl.data.digest import ConsumedSamples
from vitctl.data.order import Window, windows_from_json
from vitctl.errors import InputError, UsageError
from vitctl.inference import weights
from vitctl.sharding import layout as layouts
from vitctl.sharding.layout import Layout
from vitctl.train.config import TrainConfig
from vitctl.train.program import state as states
from vitctl.train.program.state import TrainState
from vitctl.train.trained_classes import classes_trained_on


@dataclass(frozen=True)
class StartingPoint:
    """Where a run begins when it has no checkpoint of its own.

    `state` makes the arrays in a given layout; `consumed` is what was seen before `step`, `passed`
    the windows of batches that were passed over on the way, `classes` the names of those that the
    weights were trained on before.
    """

    step: int
    state: Callable[[Layout], TrainState]
    consumed: ConsumedSamples
    passed: tuple[Window, ...] = ()
    classes: frozenset[str] = frozenset()


def scratch(cfg: TrainConfig) -> StartingPoint:
    """Random weights, nothing seen. UsageError if the average of others is asked for."""
    if cfg.from_weights != "raw":
        raise UsageError(
            f"from_weights={cfg.from_weights} is of what a run begins from, and this one begins "
            "from random weights"
        )
    return StartingPoint(0, lambda layout: states.fresh(cfg, layout=layout), ConsumedSamples())


def continued(cfg: TrainConfig, checkpoint: Artifact) -> StartingPoint:
    """The whole state of a checkpoint: the branch goes on where the trunk was, its weights the
    average of the trunk's where `cfg.from_weights` says so.

    Raises InputError if its bytes are not those that were published.
    """
    crew.require_whole(checkpoint)
    point = replace(of_checkpoint(cfg, checkpoint), classes=classes_trained_on(checkpoint))
    if cfg.from_weights == "raw":
        return point
    before = point.state

    def averaged(layout: Layout) -> TrainState:
        params = weights.weights_of(checkpoint.path, model=cfg.model, layout=layout, weights="ema")
        return before(layout)._replace(params=params)

    return replace(point, state=averaged)


def of_checkpoint(cfg: TrainConfig, checkpoint: Artifact) -> StartingPoint:
    """Like `continued`, for a checkpoint whose bytes were just checked."""
    at = position.read(checkpoint.path)
    consumed = ConsumedSamples.from_json(at.consumed)
    if not at.step == consumed.step == checkpoint.step:
        raise InputError(
            f"{checkpoint.path / position.POSITION} is damaged: it is of step {at.step}, its "
            f"samples are of step {consumed.step}, and the checkpoint is of {checkpoint.step}"
        )
    passed = windows_from_json(at.passed)
    return StartingPoint(at.step, partial(_restore, cfg, checkpoint), consumed, passed)


def _restore(cfg: TrainConfig, checkpoint: Artifact, layout: Layout) -> TrainState:
    """The state of a checkpoint. An average or a history of norms that its run did not keep begins
    here."""
    like = layouts.like(states.shapes(cfg), states.shardings(cfg, layout))
    read = partial(arrays.restore, checkpoint.path)
    params = read(arrays.PARAMS, like=like.params)
    mean, norms = states.beside(cfg, params, layout=layout)
    if mean is not None and arrays.has(checkpoint.path, arrays.EMA):
        mean = read(arrays.EMA, like=like.average)
    if norms is not None and arrays.has(checkpoint.path, arrays.NORMS):
        norms = read(arrays.NORMS, like=like.norms)
    return TrainState(
        params=params,
        opt=read(arrays.OPT, like=like.opt),
        finite=layout.place(True),
        average=mean,
        norms=norms,
    )
