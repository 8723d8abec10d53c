"""What a user gives -> the settings of `vitctl predict`; needs no terminal."""

from __future__ import annotations

import re

from stages.predict.spec import PredictConfig
from vitctl.artifacts import Artifact, Store, inputs
from vitctl.artifacts.kinds import CHECKPOINT
from vitctl.artifacts.pasteable import command
from vitctl.errors import InputError
from vitctl.events import Caution, Emit, Note
from vitctl.formula.family import FAMILIES
from vitctl.recipes import branching, measuring
from vitctl.settings.overrides import Overrides

_OF_A_FORMULA = re.compile(rf"({'|'.join(FAMILIES)})\d{{5,}}(s\d+)?")


def resolve(
    overrides: Overrides, checkpoint: Artifact, *, store: Store, emit: Emit
) -> PredictConfig:
    """The settings that a checkpoint is scored with. Raises InputError if it has no classifier."""
    trained = branching.trained_with(checkpoint)
    finetune = command("finetune", "--from", checkpoint.path, "--data", "DATASET", store=store)
    if not trained.model.classes:
        raise InputError(
            f"{checkpoint.path} has no classifier, so it has no classes to predict",
            hint=f"give it the classes of a dataset: {finetune}; vitctl fewshot probes its "
            "features as they are",
        )
    chosen = measuring.weights(checkpoint, requested=overrides.tree().get("weights"))
    for note in chosen.notes:
        emit(Note(note))
    classes = CHECKPOINT.summary(checkpoint).classes
    if inputs.is_synthetic(checkpoint):
        emit(
            Caution(f"{checkpoint.path} was trained on synthetic images; its classes mean nothing")
        )
    elif all(_OF_A_FORMULA.fullmatch(name) for name in classes):
        emit(
            Caution(
                f"{checkpoint.path} was trained on formula images; its classes are formulas, not "
                f"things in photos. To give it classes of yours: {finetune}"
            )
        )
    base = {
        "weights": chosen.name,
        "loss": trained.loss,
        "preprocess": trained.data.evaluation.model_dump(mode="json"),
        "precision": trained.precision,
    }
    return overrides.build(PredictConfig, base)
