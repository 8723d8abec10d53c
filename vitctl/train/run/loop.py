"""The loop: batch, step, and what is due after it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vitctl import processes
from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.runs import RunDraft
from vitctl.data.digest import ConsumedSamples
from vitctl.errors import InterruptedRun
from vitctl.inference import scoring
from vitctl.optim import schedules
from vitctl.sharding.layout import Layout
from vitctl.signals import Stop
from vitctl.train.config import TrainConfig
from vitctl.train.program.state import TrainState
from vitctl.train.program.step import Step
from vitctl.train.run.cadence import Cadence
from vitctl.train.run.diverged import Diverged, Update
from vitctl.train.run.images import Images
from vitctl.train.run.reporting import Reporter
from vitctl.train.run.saving import Saver
from vitctl.train.telemetry.metrics import Metrics

Evaluate = Callable[[TrainState, Callable[[], bool]], scoring.Scoring | None]
"""Scores of a state; None if the function that it asks between batches told it to break off."""


def loop(
    state: TrainState,
    *,
    step: int,
    began: int,
    consumed: ConsumedSamples,
    run: RunDraft,
    cfg: TrainConfig,
    images: Images,
    layout: Layout,
    step_fn: Step,
    evaluate: Evaluate | None,
    saver: Saver,
    cadence: Cadence,
    stop: Stop,
    report: Reporter,
) -> Artifact:
    """Train from `step`, of a run that began at `began`, to `cfg.steps`; the checkpoint there.

    Raises InterruptedRun after a signal, with everything saved; Diverged, with nothing from there
    on applied or saved, and all before it written.
    """

    def scores_at(step: int) -> bool:
        return evaluate is not None and cadence.due(cadence.evaluate, step)

    def score(*, at: int) -> bool:
        """Whether it came to its end. The last scores always do: they belong to the result."""
        assert evaluate is not None
        processes.mark("scoring", step=at)
        with report.pausing("evaluation"):
            scores = evaluate(state, lambda: at < cfg.steps and stop.breaks_off)
            if scores is not None:
                report.scored(at, scores)
        return scores is not None

    with report, saver:
        metrics = report.metrics
        if began < step < cfg.steps and scores_at(step) and not metrics.has("eval", step):
            score(at=step)  # a signal had broken it off
        batches = iter(images.train_batches(layout, start_step=step))
        before: Update | None = None

        while step < cfg.steps:
            # The first batch waits for imports and open files.
            processes.mark("data" if before else "start", step=step)
            with report.waiting_for_data():
                batch = next(batches)
            # The first step compiles.
            processes.mark("step" if before else "compile", step=step)
            rate = np.float32(schedules.value(cfg.schedule, step=step))
            arrays = layout.place_batch(batch.local)
            scalars = layout.place((rate, np.int32(step)))
            state, stats = step_fn(state, *arrays, *scalars)
            # Looking at the step before keeps one step under way on the device.
            _check(before, metrics)
            before = Update(batch, float(rate), stats)
            consumed = consumed.advance(batch.keys)
            step += 1
            report.stepped(step, stats)

            for saved in saver.finished():
                report.saved(saved)
            stopping = stop.after(step) and step < cfg.steps
            log = cadence.due(cadence.log, step)
            due = scores_at(step) and not stopping
            if log or due or stopping or cadence.saves(step):
                _check(before, metrics)
            if log:
                report.trained(step, stats, rate=float(rate))
            if due and not score(at=step):
                stopping = True
            if stopping or cadence.saves(step):
                processes.mark("save", step=step)
                with report.pausing("checkpoint"):
                    metrics.sync()
                    saver.save(
                        state,
                        step=step,
                        consumed=consumed,
                        loss=report.last_loss,
                        scores=report.scores_at(step),
                    )
            if stopping:
                with report.pausing("checkpoint"):
                    saver.wait()
                raise InterruptedRun(
                    f"{stop.reason} after step {step}; it is saved in {run.place(step)}",
                    hint="run the same command again (without --force) to continue",
                )
        with report.pausing("checkpoint"):
            saver.wait()
        for saved in saver.finished():
            report.saved(saved)
        return run.checkpoint(cfg.steps)


def _check(before: Update | None, metrics: Metrics) -> None:
    """Raise Diverged if that update was not finite."""
    if before is not None and not bool(before.stats.finite):
        metrics.sync()
        raise Diverged(before)
