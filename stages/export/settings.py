"""What a user gives -> the settings of `vitctl export`; needs no terminal."""

from __future__ import annotations

from stages.export.spec import ExportConfig
from vitctl.artifacts import Artifact
from vitctl.events import Emit, Note
from vitctl.recipes import measuring
from vitctl.settings.overrides import Overrides


def resolve(overrides: Overrides, checkpoint: Artifact, *, emit: Emit) -> ExportConfig:
    """The settings that export a checkpoint: its averaged weights where it has some."""
    chosen = measuring.weights(checkpoint, requested=overrides.tree().get("weights"))
    for note in chosen.notes:
        emit(Note(note))
    return overrides.build(ExportConfig, {"weights": chosen.name})
