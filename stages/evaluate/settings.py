"""What a user gives -> the settings of `vitctl evaluate`; needs no terminal."""

from __future__ import annotations

from stages.evaluate.spec import EvaluateConfig
from vitctl.artifacts import Artifact
from vitctl.events import Emit, Note
from vitctl.quantities import parse_count
from vitctl.recipes import branching, measuring
from vitctl.settings.overrides import Overrides


def resolve(
    overrides: Overrides, checkpoint: Artifact, dataset: Artifact | None, *, emit: Emit
) -> EvaluateConfig:
    """The settings that score a checkpoint on a dataset, or on the synthetic images that it was
    trained on."""
    tree = overrides.tree()
    trained = branching.trained_with(checkpoint)
    chosen = measuring.weights(checkpoint, requested=tree.get("weights"))
    for note in chosen.notes:
        emit(Note(note))
    base = {
        "weights": chosen.name,
        "loss": trained.loss,
        "preprocess": trained.data.evaluation.model_dump(mode="json"),
        **measuring.settings(checkpoint, dataset, overrides=tree),
    }
    return overrides.build(EvaluateConfig, base)


def read_tops(text: str, *, name: str) -> list[int]:
    """`10,1,5` -> [1, 5, 10]."""
    return sorted({parse_count(part, name=name) for part in text.split(",")})
