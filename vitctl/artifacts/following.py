"""The next command for an artifact, which a stage names when it has made one.

A stage that knows more (pretraining at chance, a probe of a model that could be cooled down) names
a command of its own.
"""

from __future__ import annotations

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.kinds import (
    CHECKPOINT,
    DATASET,
    DATASET_PART,
    FEATURE_SET,
    SCALING_FIT,
    SWEEP,
)
from vitctl.events import Next

_OF_STAGE = {
    "cooldown": ("fewshot", "--from"),
    "finetune": ("evaluate", "--from"),
    "average": ("evaluate", "--from"),
    "import": ("fewshot", "--from"),
}
"""Of a checkpoint, by the stage that made it: what comes before its path."""

_ENOUGH_FOR_A_LAW = 6
"""Different computes: below it `vitctl scaling fit` says itself that more runs are needed."""


def following(artifact: Artifact) -> Next:
    """Training for a dataset with classes, merging for a part of one, a probe for features with
    classes, a law for a sweep of enough runs, figures for a fit, measuring for a model; `vitctl
    show` for everything else."""
    arguments: tuple[str, ...] = ("show",)
    match artifact.kind:
        case DATASET.name if DATASET.summary(artifact).classes:
            arguments = ("pretrain", "--data")
        case DATASET_PART.name:
            arguments = ("merge",)
        case FEATURE_SET.name if FEATURE_SET.summary(artifact).classes:
            arguments = ("fewshot", "--features")
        case SWEEP.name if _has_a_law(artifact):
            arguments = ("scaling", "fit")
        case SCALING_FIT.name:
            arguments = ("scaling", "plot")
        case CHECKPOINT.name:
            arguments = _OF_STAGE.get(artifact.manifest.stage, arguments)
    return Next.of(*arguments, artifact.path)


def _has_a_law(sweep: Artifact) -> bool:
    """Whether its runs have as many different computes as a law takes."""
    summary = SWEEP.summary(sweep)
    return len({row.flops for row in summary.rows if row.metrics}) >= _ENOUGH_FOR_A_LAW
