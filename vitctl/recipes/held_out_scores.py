"""Learning rates that are tried, and scored on held-out images."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.kinds import CHECKPOINT
from vitctl.artifacts.kinds.checkpoint import TITLES, Scores, TriedRate
from vitctl.artifacts.runs import run_of
from vitctl.errors import DivergedError, InputError
from vitctl.events import Caution, Emit
from vitctl.train.config import TrainConfig
from vitctl.train.telemetry import metrics


def try_rate(
    cfg: TrainConfig, *, train: Callable[[TrainConfig], Artifact], diverged: str, emit: Emit
) -> TriedRate:
    """Train a candidate and score it. One that diverges has no scores, and a caution says so, which
    begins with `diverged`."""
    rate = cfg.schedule.peak_lr
    try:
        checkpoint = train(cfg)
    except DivergedError as error:
        emit(Caution(f"{diverged}: {error.message}"))
        return TriedRate(lr=rate, scores=None, id=None)
    return TriedRate(lr=rate, scores=scores_of(checkpoint), id=checkpoint.id)


def in_words(candidate: TriedRate, *, chosen: bool) -> str:
    """The scores of a candidate, and whether it was chosen."""
    if candidate.scores is None:
        return "diverged"
    shown = ", ".join(f"{title} {value}" for title, value in candidate.scores.shown().items())
    return f"{shown}{'  (chosen)' if chosen else ''}"


def scores_of(checkpoint: Artifact) -> Scores:
    """Held-out scores of a checkpoint: of the average of its weights where it has one, as that is
    what later commands take.

    A checkpoint that was saved when a signal broke off its scores tells of none; the run made them
    when it was continued, and its metrics have them. Raises InputError where they are lost.
    """
    summary = CHECKPOINT.summary(checkpoint)
    scores = summary.eval_ema or summary.eval or _of_its_run(checkpoint)
    if scores is None:
        raise InputError(
            f"{checkpoint.path} has no held-out scores to compare its learning rate by",
            hint="remove its run, and the same command trains that rate again: vitctl rm "
            f"{shlex.quote(str(checkpoint.path.parent.parent))}",
        )
    return scores


def _of_its_run(checkpoint: Artifact) -> Scores | None:
    run = run_of(checkpoint)
    rows = [] if run is None else metrics.read(run.metrics)
    for row in reversed(rows):
        if row["kind"] == "eval" and row["step"] == checkpoint.step:
            begin = "ema_" if "ema_top1" in row else ""
            means = {name: row.get(f"{begin}{name}") for name in TITLES}
            return Scores.model_validate({**means, "examples": row["examples"]})
    return None
