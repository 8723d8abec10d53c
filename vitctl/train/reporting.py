"""What a run tells while it trains: rows of metrics.jsonl, and progress for who watches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from vitctl.events import Emit, Progress
from vitctl.train.config import TrainConfig
from vitctl.train.metrics import Metrics
from vitctl.train.scoring import Scores
from vitctl.train.step import StepStats


class Reporter:
    """Measures the loop and tells of it, one row an interval."""

    def __init__(
        self, metrics: Metrics, cfg: TrainConfig, *, stage: str, step: int, emit: Emit
    ) -> None:
        self.metrics, self.cfg, self.stage, self.emit = metrics, cfg, stage, emit
        self.last_loss: float | None = None
        self.scores: Scores | None = None
        self.scored_at = -1
        self._step, self._since, self._waited = step, time.perf_counter(), 0.0

    @contextmanager
    def waiting_for_data(self) -> Iterator[None]:
        """Time within counts as waiting for the input."""
        asked = time.perf_counter()
        yield
        self._waited += time.perf_counter() - asked

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time within (scoring, saving) is not part of the training rate."""
        began = time.perf_counter()
        yield
        self._since += time.perf_counter() - began

    def trained(self, step: int, stats: StepStats, *, rate: float) -> None:
        """One row for the steps since the last; `stats` and the learning `rate` are of the last."""
        now = time.perf_counter()
        passed = max(now - self._since, 1e-9)
        images_per_s = (step - self._step) * self.cfg.data.batch / passed
        data_wait = min(1.0, self._waited / passed)
        self._step, self._since, self._waited = step, now, 0.0

        loss = self.last_loss = float(stats.loss)
        self.metrics.row(
            "train",
            step,
            images=step * self.cfg.data.batch,
            lr=rate,
            loss=loss,
            grad_norm=float(stats.grad_norm),
            update_norm=float(stats.update_norm),
            param_norm=float(stats.param_norm),
            images_per_second=round(images_per_s, 3),
            data_wait=round(data_wait, 4),
        )
        fields = {
            "loss": f"{loss:.4g}",
            "lr": f"{rate:.3g}",
            "img/s": f"{images_per_s:.4g}",
            "data wait": f"{data_wait:.0%}",
        }
        if self.scores is not None:
            fields["top-1"] = f"{self.scores.top1:.2%}"
        self.emit(Progress(self.stage, step, self.cfg.steps, "steps", fields))

    def scored(self, step: int, scores: Scores) -> None:
        """A row of held-out scores."""
        self.scores, self.scored_at = scores, step
        self.metrics.row("eval", step, split=self.cfg.data.eval_split, **scores.as_json())

    def scores_at(self, step: int) -> dict[str, float | int] | None:
        """The scores of exactly this step, if it was scored."""
        return self.scores.as_json() if self.scores and self.scored_at == step else None
