"""What of a checkpoint goes over to a run that begins from it. Imports no array library."""

from __future__ import annotations

from collections.abc import Sequence

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.kinds import CHECKPOINT
from vitctl.data.names import compose
from vitctl.errors import InputError
from vitctl.optim import frozen
from vitctl.train.config import TrainConfig, from_identity

_ONE_MODEL_ALL_THE_WAY = "pretrain", "cooldown"
"""Stages whose checkpoints, before FLOPs were recorded, had been trained as one model on images of
one size since step 0."""


def trained_with(checkpoint: Artifact) -> TrainConfig:
    """The settings of the run a checkpoint belongs to. InputError if none are recorded."""
    if checkpoint.step is None:
        raise InputError(f"{checkpoint.path} records no step, so it is no checkpoint of training")
    return from_identity(checkpoint.config, total_steps=checkpoint.step)


def same_classes(before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether two lists name the same classes, in any order and any form of Unicode."""
    return sorted(map(compose, before)) == sorted(map(compose, after))


def keeps_state(
    before: TrainConfig,
    after: TrainConfig,
    *,
    classes_before: Sequence[str],
    classes_after: Sequence[str],
) -> bool:
    """Whether weights and optimizer state of a run fit another as they are: one model, the same
    classes in the same order, a classifier that is kept, an optimizer with the same statistics."""

    def shape(cfg: TrainConfig) -> tuple[object, ...]:
        model = cfg.model.model_copy(update={"head_bias": 0.0})  # an initial value alone
        return model, cfg.optim.name, cfg.optim.momentum_dtype

    same = list(map(compose, classes_before)) == list(map(compose, classes_after))
    return same and after.from_head == "keep" and shape(before) == shape(after)


def images_seen(checkpoint: Artifact) -> int | None:
    """Images that the weights of a checkpoint saw in all the training that is recorded; None of an
    import."""
    summary = CHECKPOINT.summary(checkpoint)
    return None if summary.imported else summary.images + (summary.images_before or 0)


def flops_spent(checkpoint: Artifact) -> float | None:
    """FLOPs of the training of a checkpoint's weights, of what it was made from included; None if
    some of that training is not recorded."""
    summary = CHECKPOINT.summary(checkpoint)
    if "flops" in summary.model_fields_set:
        return summary.flops
    if checkpoint.manifest.stage not in _ONE_MODEL_ALL_THE_WAY:
        return None
    cfg = trained_with(checkpoint)
    return float(summary.images * frozen.trained_flops(cfg.model, cfg.optim))
