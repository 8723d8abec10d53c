"""Checkpoints while a run trains: which are written, what they say of themselves, which go.

Training waits while the arrays are copied off the devices. A thread does the rest: writing,
hashing, the manifest last, dropping old ones. One at a time: a save that comes while one is under
way waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from vitctl.artifacts.kinds.checkpoint import Checkpoint, Scores
from vitctl.artifacts.provenance import now
from vitctl.checkpoints import arrays
from vitctl.checkpoints.series import Series
from vitctl.data.digest import ConsumedSamples
from vitctl.events import Saved
from vitctl.inference.scoring import Scoring
from vitctl.model import accounting
from vitctl.train.program.state import TrainState
from vitctl.train.run import rollback
from vitctl.train.run.setup import Training


class Saver:
    """Writes the checkpoints of a run; those of the steps in `damaged` are written again.

    A context manager: what is under way at its end is finished. What goes wrong in the thread is
    raised by the next call of any method.
    """

    def __init__(self, training: Training, *, damaged: Iterable[int]) -> None:
        self.run, self.cfg, self.cadence = training.run, training.cfg, training.cadence
        self.origin = training.origin
        self.classes = tuple(training.images.classes)
        self.classes_before = tuple(sorted({*training.origin.classes} - {*self.classes}))
        self.damaged = set(damaged)
        self.passed = training.images.passed
        self.started = now()
        self.series = Series()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._saved: list[Saved] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """If the loop is already raising, a failed save must not mask that error."""
        if self._thread is not None:
            self._thread.join()

    def save(
        self,
        state: TrainState,
        *,
        step: int,
        consumed: ConsumedSamples,
        loss: float | None,
        scores: Scoring | None,
        best: int | None = None,
    ) -> None:
        """Begin to write the checkpoint of `step` unless it is there; when it is, those that the
        rule gives up are dropped.

        `loss` is the last logged one, `scores` those of this step if it was scored. `best`: the
        step of the best checkpoint so far, which stays; the run's answer is chosen at its end.
        """
        began = time.perf_counter()
        self.wait()
        done = self.run.steps()
        again = step in done and step not in self.damaged
        if step == self.cfg.steps and best is None:
            self.run.mark_result(step)
        if again:  # a shorter request going over ground that was trained before
            return
        writing = self.series.begin(
            self.run.empty_place(step),
            parts=parts(state),
            position={
                "step": step,
                "consumed": consumed.to_json(),
                "passed": [list(window) for window in rollback.until(self.passed, step)],
            },
            apart=self.run.path.local is None,
        )
        summary = self._summary(step, state=state, loss=loss, scores=scores)
        stall_s = time.perf_counter() - began

        def finish() -> None:
            try:
                self._saved.append(
                    self._finish(writing, before=done, summary=summary, stall_s=stall_s, best=best)
                )
            except BaseException as error:
                self._error = error

        # Not a daemon: an interpreter that ends waits for it.
        self._thread = threading.Thread(target=finish, name=f"save {step}")
        self._thread.start()

    def finished(self) -> list[Saved]:
        """What was finished since the last call."""
        self._raise()
        done = []
        while self._saved:  # one by one: the thread may add another meanwhile
            done.append(self._saved.pop(0))
        return done

    def wait(self) -> None:
        """Until nothing is under way."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _finish(
        self,
        writing: arrays.Writing,
        *,
        before: list[int],
        summary: Checkpoint,
        stall_s: float,
        best: int | None,
    ) -> Saved:
        """In the thread: everything but copying the arrays. Several processes exchange nothing here
        under a name that the loop uses, too."""
        began = time.perf_counter()
        step = summary.step
        writing.finish()
        artifact = self.run.publish(
            step,
            summary=summary.as_json(),
            started=self.started,
            volatile=arrays.VOLATILE,
            passed=rollback.until(self.passed, step),
        )
        write_s = time.perf_counter() - began
        self.damaged.discard(step)
        if step > max(before, default=0):  # only what is new ground pushes older ones out
            stay = (*self.run.info.results, step, *([] if best is None else [best]))
            for old in self.cadence.to_drop(
                [*before, step], keep=stay, intervals=self.run.info.kept_intervals
            ):
                self.run.drop(old)
        written = sum(entry.size for entry in artifact.manifest.files)
        return Saved(step, stall_s=stall_s, write_s=write_s, bytes=written)

    def _summary(
        self, step: int, *, state: TrainState, loss: float | None, scores: Scoring | None
    ) -> Checkpoint:
        model, optim = self.cfg.model, self.cfg.optim
        return Checkpoint(
            step=step,
            images=self.origin.images_at(step, cfg=self.cfg),
            model=self.cfg.label,
            resolution=model.resolution,
            parameters=accounting.parameters(model).total,
            classes=self.classes,
            classes_before=self.classes_before,
            finished_schedule=not self.cfg.schedule.open_ended and step == self.cfg.steps,
            loss=loss,
            eval=None if scores is None else scores.raw.recorded(),
            ema=optim.ema,
            eval_ema=_averaged(scores),
            passed=sum(window.batches for window in rollback.until(self.passed, step)),
            skipped=None if state.norms is None else int(state.norms.skipped),
            images_before=self.origin.images_before,
            flops=self.origin.flops_at(step, cfg=self.cfg),
            sweep=self.origin.sweep,
        )


def summary_of(scores: Scoring) -> dict[str, Any]:
    """The scores of a checkpoint as its manifest records them."""
    averaged = _averaged(scores)
    return {
        "eval": scores.raw.recorded().as_json(),
        "eval_ema": None if averaged is None else averaged.as_json(),
    }


def _averaged(scores: Scoring | None) -> Scores | None:
    return None if scores is None or scores.ema is None else scores.ema.recorded()


def parts(state: TrainState) -> dict[str, Any]:
    """What of a state is saved, by the name of its folder."""
    every = {
        arrays.PARAMS: state.params,
        arrays.OPT: state.opt,
        arrays.EMA: state.average,
        arrays.NORMS: state.norms,
    }
    return {name: tree for name, tree in every.items() if tree is not None}
