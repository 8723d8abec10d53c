"""Where a run begins: random weights, or the state of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import jax

from vitctl.artifacts import crew
from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.kinds import CHECKPOINT
from vitctl.artifacts.kinds.checkpoint import TriedRate
from vitctl.checkpoints import arrays, position
from vitctl.data.config import ProceduralConfig
from vitctl.data.digest import ConsumedSamples
from vitctl.data.order import Window, windows_from_json
from vitctl.errors import InputError, UsageError
from vitctl.inference import weights
from vitctl.model import vit
from vitctl.optim import frozen
from vitctl.optim.per_layer import PerLayerState
from vitctl.sharding import layout as layouts
from vitctl.sharding.layout import Layout
from vitctl.train.carried_over import flops_spent, images_seen, keeps_state, trained_with
from vitctl.train.config import TrainConfig
from vitctl.train.program import state as states
from vitctl.train.program.state import TrainState
from vitctl.train.run import procedural, warm_start
from vitctl.train.trained_classes import classes_trained_on


@dataclass(frozen=True)
class StartingPoint:
    """Where a run begins when it has no checkpoint of its own.

    `state` makes the arrays in a given layout; `consumed` is what was seen before `step`, `passed`
    the windows of batches that were passed over on the way, `classes` the names of those that the
    weights were trained on before. `images` were seen from step 0 to `step`, `images_before` ahead
    of step 0 (None: as far as is known, none); `flops` is what all of that took, None if unknown.
    `sweep`: the learning rates that the run's was chosen from. `procedural`: what the blocks are
    trained on before step 0 (`vitctl.train.run.procedural`), counted in `flops`.
    """

    step: int
    state: Callable[[Layout], TrainState]
    consumed: ConsumedSamples
    passed: tuple[Window, ...] = ()
    classes: frozenset[str] = frozenset()
    images: int = 0
    images_before: int | None = None
    flops: float | None = 0.0
    sweep: tuple[TriedRate, ...] | None = None
    procedural: ProceduralConfig | None = None

    def images_at(self, step: int, *, cfg: TrainConfig) -> int:
        """Images seen from step 0 to `step` of a run that begins here."""
        return self.images + (step - self.step) * cfg.data.batch

    def flops_at(self, step: int, *, cfg: TrainConfig) -> float | None:
        """FLOPs of all training of the weights until `step` of a run that begins here."""
        if self.flops is None:
            return None
        images = (step - self.step) * cfg.data.batch
        return self.flops + float(images * frozen.trained_flops(cfg.model, cfg.optim))


def scratch(cfg: TrainConfig) -> StartingPoint:
    """Random weights, nothing seen. UsageError for settings of a run that begins from others."""
    if cfg.from_schedule is not None or cfg.data.first_step:
        name = "from_schedule" if cfg.from_schedule is not None else "data.first_step"
        raise UsageError(
            f"{name} is of a run that begins from a checkpoint, and this one begins from random "
            "weights",
            hint="name the checkpoint: --from RUN",
        )
    for name, choice in (("from_weights", "raw"), ("from_head", "keep")):
        if (given := getattr(cfg, name)) != choice:
            raise UsageError(
                f"{name}={given} is of what a run begins from, and this one begins "
                "from random weights"
            )
    before = cfg.procedural
    return StartingPoint(
        0,
        lambda layout: states.fresh(cfg, layout=layout),
        ConsumedSamples(),
        flops=0.0 if before is None else procedural.flops(cfg, before),
        procedural=before,
    )


def continued(cfg: TrainConfig, checkpoint: Artifact) -> StartingPoint:
    """The whole state of a checkpoint: the branch goes on where the trunk was, its weights the
    average of the trunk's where `cfg.from_weights` says so.

    Raises InputError if its bytes are not those that were published.
    """
    _require_no_sequences(cfg)
    crew.require_whole(checkpoint)
    summary = CHECKPOINT.summary(checkpoint)
    point = replace(
        of_checkpoint(cfg, checkpoint),
        classes=classes_trained_on(checkpoint),
        images=summary.images,
        images_before=summary.images_before,
        flops=flops_spent(checkpoint),
    )
    if cfg.from_weights == "raw":
        return point
    before = point.state

    def averaged(layout: Layout) -> TrainState:
        params = weights.weights_of(checkpoint.path, model=cfg.model, layout=layout, weights="ema")
        return before(layout)._replace(params=params)

    return replace(point, state=averaged)


def warm(cfg: TrainConfig, checkpoint: Artifact, *, classes: Sequence[str]) -> StartingPoint:
    """The weights of a checkpoint alone, made to fit `cfg` and `classes`, at step 0: nothing of the
    new order is seen, and the optimizer is new.

    Raises InputError if its bytes are not those that were published.
    """
    _require_no_sequences(cfg)
    return StartingPoint(
        0,
        partial(_warm, cfg, checkpoint, tuple(classes)),
        ConsumedSamples(),
        classes=classes_trained_on(checkpoint),
        images_before=images_seen(checkpoint),
        flops=flops_spent(checkpoint),
    )


def further(cfg: TrainConfig, checkpoint: Artifact, *, classes: Sequence[str]) -> StartingPoint:
    """Where pretraining that goes on from a checkpoint begins: at its step with its schedule, or at
    step 0 with a new one (`cfg.from_schedule`). The optimizer's state is kept where it fits.

    Raises:
      InputError: the checkpoint is damaged, or its samples are not those that `cfg` goes on from.
      UsageError: `cfg.data.first_step` lies ahead.
    """
    if cfg.from_schedule == "restart":
        return warm(cfg, checkpoint, classes=classes)
    point = continued(cfg, checkpoint)
    if cfg.data.first_step > point.step:
        raise UsageError(
            f"data.first_step={cfg.data.first_step} is after step {point.step}, where training "
            "goes on"
        )
    if cfg.data.first_step == point.step:  # another order, from its beginning
        point = replace(point, consumed=point.consumed.anchored(), passed=())
    before = trained_with(checkpoint)
    classes_before = CHECKPOINT.summary(checkpoint).classes
    if keeps_state(before, cfg, classes_before=classes_before, classes_after=classes):
        return point
    return replace(point, state=partial(_warm, cfg, checkpoint, tuple(classes)))


def _require_no_sequences(cfg: TrainConfig) -> None:
    if cfg.procedural is not None:
        raise UsageError(
            "procedural is of a run from random weights, and this one begins from a checkpoint",
            hint="leave it out: its blocks have learnt from images already",
        )


def _warm(
    cfg: TrainConfig, checkpoint: Artifact, classes: tuple[str, ...], layout: Layout
) -> TrainState:
    """The checkpoint's weights, made to fit, with a new optimizer."""
    crew.require_whole(checkpoint)
    before = trained_with(checkpoint)
    params = weights.weights_of(
        checkpoint.path, model=before.model, layout=layout, weights=cfg.from_weights
    )
    changes = {name: params[name] for name in warm_start.CHANGES if name in params}
    fitted = warm_start.adapt(
        {**params, **layout.on_host(changes)},
        before=before.model,
        after=cfg.model,
        classes_before=CHECKPOINT.summary(checkpoint).classes,
        classes_after=classes,
        head=cfg.from_head,
        seed=cfg.seed,
    )
    params = layout.place(fitted, layout.params(fitted))
    return states.with_params(cfg, params, layout=layout)


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
        opt=_optimizer_state(cfg, checkpoint, params, layout=layout),
        finite=layout.place(True),
        average=mean,
        norms=norms,
    )


def _optimizer_state(
    cfg: TrainConfig, checkpoint: Artifact, params: vit.Params, *, layout: Layout
) -> PerLayerState:
    """The optimizer's state of a checkpoint, for the parameters that are trained now.

    It was stored for those that were trained then; before frozen parameters had none, for all.
    """
    before = trained_with(checkpoint).optim.freeze
    stored = cfg
    if cfg.optim.freeze or before:
        shapes = arrays.stored_shapes(checkpoint.path, arrays.OPT)
        forms = [states.frozen(cfg, patterns) for patterns in (cfg.optim.freeze, before, ())]
        fitting = (form for form in forms if arrays.same(shapes, states.shapes(form).opt))
        stored = next(fitting, cfg)
    like = layouts.like(states.shapes(stored).opt, states.shardings(stored, layout).opt)
    opt = arrays.restore(checkpoint.path, arrays.OPT, like=like)
    if stored == cfg:
        return opt
    convert = partial(states.converted, before=stored, after=cfg)
    return jax.jit(convert, out_shardings=states.shardings(cfg, layout).opt)(opt, params)
