"""What a user gives -> the settings of `vitctl evaluate`; needs no terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stages.evaluate.spec import EvaluateConfig, Inputs
from vitctl.artifacts import Artifact
from vitctl.events import Emit, Note
from vitctl.recipes import branching, measuring
from vitctl.settings.overrides import Overrides
from vitctl.text.quantities import parse_count


def resolve(
    overrides: Overrides,
    checkpoint: Artifact,
    dataset: Artifact | None,
    *,
    labels: Path | None = None,
    emit: Emit,
) -> tuple[EvaluateConfig, Inputs]:
    """The settings that score a checkpoint on a dataset, or on the synthetic images that it was
    trained on, and what is read; `labels` is a file of labels in place of the dataset's."""
    from vitctl.ingest.labels.replaced_labels import read_replaced_labels

    replaced = None if labels is None else read_replaced_labels(labels)
    tree = overrides.tree()
    trained = branching.trained_with(checkpoint)
    chosen = measuring.weights(checkpoint, requested=tree.get("weights"))
    for note in chosen.notes:
        emit(Note(note))
    base: dict[str, Any] = {
        "weights": chosen.name,
        "loss": trained.loss,
        "preprocess": trained.data.evaluation.model_dump(mode="json"),
        **measuring.settings(checkpoint, dataset, overrides=tree),
    }
    if replaced is not None:
        base["labels_sha256"] = replaced.sha256
    return overrides.build(EvaluateConfig, base), Inputs(checkpoint, dataset, replaced)


def read_tops(text: str, *, name: str) -> list[int]:
    """`10,1,5` -> [1, 5, 10]."""
    return sorted({parse_count(part, name=name) for part in text.split(",")})


def read_classes(text: Path | str, *, name: str, emit: Emit) -> dict[str, Any]:
    """A file of names of classes, or ObjectNet's folder of them. Raises NotFoundError,
    InputError."""
    from vitctl.data.class_map import read_class_map

    del name  # its errors say which option they are of
    return dict(read_class_map(Path(text), emit=emit))
