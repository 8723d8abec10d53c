"""Checkpoints while a run trains: which are written, what they say of themselves, which go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vitctl import checkpoints
from vitctl.artifacts.provenance import now
from vitctl.artifacts.runs import RunDraft
from vitctl.data.digest import ConsumedSamples
from vitctl.model import accounting
from vitctl.train.cadence import Cadence
from vitctl.train.config import TrainConfig
from vitctl.train.state import TrainState


class Saver:
    """Writes the checkpoints of `run`; `damaged` are steps whose present ones are to be redone."""

    def __init__(
        self,
        run: RunDraft,
        cfg: TrainConfig,
        *,
        classes: Iterable[str],
        cadence: Cadence,
        damaged: Iterable[int],
    ) -> None:
        self.run, self.cfg, self.cadence = run, cfg, cadence
        self.classes = list(classes)
        self.damaged = set(damaged)
        self.started = now()

    def save(
        self,
        state: TrainState,
        *,
        step: int,
        consumed: ConsumedSamples,
        loss: float | None,
        scores: dict[str, Any] | None,
    ) -> None:
        """Publish the checkpoint of `step` unless it is there, and drop those the rule gives up.

        `loss` is the last logged one, `scores` those of this step if it was scored.
        """
        done = self.run.steps()
        again = step in done and step not in self.damaged
        if step == self.cfg.steps:
            self.run.mark_result(step)
        if again:  # a shorter request going over ground that was trained before
            return
        place = self.run.empty_place(step)
        position = {"step": step, "consumed": consumed.to_json()}
        checkpoints.save(place, params=state.params, opt=state.opt, position=position)
        self.run.publish(
            step,
            summary=self._summary(step, loss=loss, scores=scores),
            started=self.started,
            volatile=checkpoints.VOLATILE,
        )
        self.damaged.discard(step)
        if step > max(done, default=0):  # only what is new ground pushes older ones out
            stay = (*self.run.info.results, step)
            for old in self.cadence.to_drop([*done, step], keep=stay, intervals=self.run.kept):
                self.run.drop(old)

    def _summary(
        self, step: int, *, loss: float | None, scores: dict[str, Any] | None
    ) -> dict[str, Any]:
        model = self.cfg.model
        return {
            "step": step,
            "images": step * self.cfg.data.batch,
            "model": self.cfg.name,
            "resolution": model.resolution,
            "parameters": accounting.parameters(model).total,
            "classes": self.classes,
            "finished_schedule": not self.cfg.schedule.open_ended and step == self.cfg.steps,
            "loss": loss,
            "eval": scores,
        }
