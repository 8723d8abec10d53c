"""What `--compare A B` names -> two evaluations -> how they differ."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stages.evaluate.compare import Comparison, compare
from stages.evaluate.settings import resolve
from stages.evaluate.spec import EvaluateConfig, Inputs
from vitctl.artifacts import Artifact
from vitctl.artifacts.kinds import EVALUATION
from vitctl.errors import UsageError
from vitctl.events import Emit
from vitctl.settings.overrides import Overrides


def compared(
    first: Artifact,
    second: Artifact,
    *,
    overrides: Overrides,
    labels: Path | None,
    named_data: bool,
    dataset: Callable[[Artifact], Artifact | None],
    evaluate: Callable[[EvaluateConfig, Inputs], Artifact | None],
    emit: Emit,
) -> Comparison | None:
    """Two evaluations, or two checkpoints that are evaluated on the same dataset first.

    Args:
      named_data: a dataset was named to evaluate on.
      dataset: the one that was named, else what a checkpoint was trained on.
      evaluate: does the work; None where only the settings are asked for, which is the answer then.

    Raises:
      UsageError: one of each, or settings of evaluations that are there already.
      InputError: the evaluations are not of the same images with the same labels.
    """
    evaluations = [a for a in (first, second) if a.kind == EVALUATION.name]
    if len(evaluations) == 1:
        raise UsageError(
            "--compare names an evaluation and a run", hint="give two runs or two evaluations"
        )
    if evaluations:
        _check_nothing_scored(overrides, labels=labels, named_data=named_data)
        return compare(first, second)
    images = dataset(first)
    for checkpoint in (first, second):
        cfg, inputs = resolve(overrides, checkpoint, images, labels=labels, emit=emit)
        made = evaluate(cfg, inputs)
        evaluations += [] if made is None else [made]
    return compare(*evaluations) if evaluations else None


def _check_nothing_scored(overrides: Overrides, *, labels: Path | None, named_data: bool) -> None:
    """Raises UsageError if something is set that evaluations which are there no longer take."""
    given = ["--data"] * named_data + ["--labels"] * (labels is not None) + [*overrides.tree()]
    if given:
        raise UsageError(
            f"--compare names two evaluations, and {given[0]} is for one that is made",
            hint="leave it out, or name the two runs, which are evaluated with it",
        )
