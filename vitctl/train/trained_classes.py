"""Which classes weights were trained on. Imports no array library."""

from __future__ import annotations

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.kinds import CHECKPOINT


def classes_trained_on(checkpoint: Artifact) -> frozenset[str]:
    """Names of the classes that a checkpoint, or what it was made from, was trained on, as far as
    it records them: `classes` are its own, `classes_before` (since 2026-11) the others."""
    summary = CHECKPOINT.summary(checkpoint)
    return frozenset(summary.classes) | frozenset(summary.classes_before or ())
