"""Which weights of a checkpoint are looked at. Importing this imports no array library."""

from __future__ import annotations

from vitctl.artifacts.artifact import Artifact
from vitctl.errors import UsageError
from vitctl.summaries import WeightsName


def chosen(checkpoint: Artifact, *, requested: WeightsName | None) -> WeightsName:
    """The weights requested; left out, their average where the checkpoint has one.

    Raises UsageError if an average is requested for and there is none.
    """
    if requested == "ema" and average_decay(checkpoint) is None:
        raise UsageError(
            f"{checkpoint.path} has no average of its weights",
            hint="a run keeps one with --ema 0.9999; --weights raw takes them as they are",
        )
    return requested or ("raw" if average_decay(checkpoint) is None else "ema")


def average_decay(checkpoint: Artifact) -> float | None:
    """The decay of the average of its weights; None if it has none."""
    decay = checkpoint.setting("optim.ema")
    return float(decay) if isinstance(decay, int | float) else None
