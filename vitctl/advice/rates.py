"""Images a second of each model on the devices: as measured there, else as predicted.

In this order: the user's own run of that model on such devices; on TPU v3 the paper's measured
throughput; the prediction of `plan` without a compiler, scaled by how far it is off for the user's
own runs of other models, if there are some; where no peak is known, the FLOPs of own runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vitctl.advice.fitting import Fitted, step_plan
from vitctl.advice.own_runs import OwnSpeed
from vitctl.advice.target import Devices
from vitctl.hardware.tpus import TPUS
from vitctl.model import accounting
from vitctl.model.config import ModelConfig, from_name
from vitctl.plan import candidates, judge
from vitctl.plan.calibration import paper_models
from vitctl.plan.candidates import with_batch
from vitctl.plan.program import StepPlan
from vitctl.sharding.spec import MeshSpec
from vitctl.train.config import TrainConfig

HOUR_S, DAY_S = 3600, 86400

RateBasis = Literal["own runs", "paper", "scaled", "estimated"]

_IMAGES_A_CORE = 32
"""A batch of 16,384 on 512 cores: "Scaling Vision Transformers", section 2.1 and appendix C."""

_SHAPE = {"width", "depth", "mlp_dim", "mlp", "heads", "patch", "resolution"}


@dataclass(frozen=True)
class ModelRate:
    """Images a second on one device, with the range it lies in where that is known.

    basis: "own runs" of the model on such devices; the "paper"'s on TPU v3; "scaled", predicted and
    scaled to own runs of other models; "estimated" from peaks. `source`: which runs.
    """

    rate: float
    low: float | None
    high: float | None
    basis: RateBasis
    source: str | None = None


def rates(
    models: Sequence[Fitted], *, devices: Devices, speeds: Sequence[OwnSpeed]
) -> dict[str, ModelRate]:
    """The rate of each model that one can be told of, by its name."""
    own = {one.model: _own(one, speeds) for one in models}
    predicted = {one.model: _predicted(one, devices) for one in models}
    scale = _scale(models, own, predicted)
    out: dict[str, ModelRate] = {}
    for one in models:
        run = own[one.model]
        count = predicted[one.model]
        if run is not None:
            out[one.model] = ModelRate(run.rate, None, None, "own runs", run.run)
        elif count is not None and count.basis == "paper":
            out[one.model] = count
        elif scale is not None and count is not None:
            factor, names = scale
            out[one.model] = ModelRate(count.rate * factor, None, None, "scaled", names)
        elif count is not None:
            out[one.model] = count
        elif by_flops := _by_flops(one, speeds):
            out[one.model] = by_flops
    return out


def paper_rate(model: ModelConfig) -> float | None:
    """Images a second on a core of TPU v3 as the paper measured them; None for another model."""
    for row in paper_models():
        if same_shape(from_name(row.model, classes=1), model):
            return row.images_per_second
    return None


def v3_rate(cfg: TrainConfig) -> float | None:
    """Images a second on a core of TPU v3: as the paper measured them, else as `plan` estimates
    them by its throughput of other models; in bfloat16, as many images a core as its ViT-G had."""
    known = paper_rate(cfg.model)
    if known is not None:
        return known
    core = with_batch(cfg.model_copy(update={"precision": "bfloat16"}), _IMAGES_A_CORE)
    plan = StepPlan(MeshSpec().resolve(devices=1), "none", None)
    hardware = TPUS["v3"]
    option = candidates.option(core, plan, batch=_IMAGES_A_CORE, hardware=hardware, devices=1)
    return judge.estimated_rate(option, hardware=hardware).predicted


def same_shape(one: ModelConfig, other: ModelConfig) -> bool:
    """Whether two models cost the same, but for heads and classes."""
    return one.model_dump(include=_SHAPE) == other.model_dump(include=_SHAPE)


def _own(one: Fitted, speeds: Sequence[OwnSpeed]) -> OwnSpeed | None:
    """The newest of the runs of this model."""
    return next(
        (
            speed
            for speed in reversed(speeds)
            if same_shape(speed.model, one.cfg.model) and speed.precision == one.cfg.precision
        ),
        None,
    )


def _predicted(one: Fitted, devices: Devices) -> ModelRate | None:
    hardware = devices.hardware
    if hardware is not None and hardware.kind == TPUS["v3"].kind:
        known = paper_rate(one.cfg.model)
        if known is not None:
            return ModelRate(known, None, None, "paper")
    if hardware is None or one.layout is None:
        return None
    option = candidates.option(
        one.cfg, step_plan(one), batch=one.batch, hardware=hardware, devices=devices.count
    )
    rate = judge.estimated_rate(option, hardware=hardware)
    if rate.predicted is None:
        return None
    return ModelRate(rate.predicted, rate.low, rate.high, "estimated")


def _scale(
    models: Sequence[Fitted],
    own: Mapping[str, OwnSpeed | None],
    predicted: Mapping[str, ModelRate | None],
) -> tuple[float, str] | None:
    """By how much own runs are faster than predicted, the geometric mean, and which they are."""
    ratios, names = [], []
    for one in models:
        run, count = own[one.model], predicted[one.model]
        if run is not None and count is not None:
            ratios.append(math.log(run.rate / count.rate))
            names.append(run.run)
    return (math.exp(sum(ratios) / len(ratios)), ", ".join(names)) if ratios else None


def _by_flops(one: Fitted, speeds: Sequence[OwnSpeed]) -> ModelRate | None:
    """By the FLOPs of the own run whose images cost most nearly the same."""
    same = [speed for speed in speeds if speed.precision == one.cfg.precision]
    if not same:
        return None

    def apart(speed: OwnSpeed) -> float:
        return abs(math.log(accounting.trained_flops(speed.model) / one.flops_per_image))

    # Of equals the newest.
    nearest = min(reversed(same), key=apart)
    rate = nearest.rate * accounting.trained_flops(nearest.model) / one.flops_per_image
    return ModelRate(rate, None, None, "scaled", nearest.run)
