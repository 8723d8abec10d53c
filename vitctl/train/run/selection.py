"""Which checkpoint of a run is the best by its held-out scores, and when to stop looking.

What counts are the scores at the multiples of `keep_best.every` and at the end, as run.json records
them: so the same checkpoint is chosen however often the run was stopped, or whatever else it scored
in between. They are of the average of the weights where the run keeps one, which is what later
commands take.
"""

from __future__ import annotations

from collections.abc import Sequence

from vitctl.artifacts.run_draft import RunDraft
from vitctl.events import Emit, Note
from vitctl.inference.scoring import Scoring
from vitctl.quantities import show_count
from vitctl.train.config import KeepBest, TrainConfig

Score = tuple[int, float | None]
"""A step and its score; None if that was not finite, which is worse than any other."""


def best_of(scores: Sequence[Score], *, metric: str) -> Score | None:
    """The best score; of equal ones the first."""
    sign = -1.0 if metric == "loss" else 1.0
    finite = [score for score in scores if score[1] is not None]
    if not finite:
        return scores[0] if scores else None
    return max(finite, key=lambda score: (sign * (score[1] or 0.0), -score[0]))


def is_over(scores: Sequence[Score], rule: KeepBest) -> bool:
    """Whether none of the last `patience` scores is better than the one before them."""
    best = best_of(scores, metric=rule.metric)
    if best is None or rule.patience is None:
        return False
    return sum(step > best[0] for step, _ in scores) >= rule.patience


class BestSoFar:
    """The scores of one start of a run. Without `cfg.keep_best` nothing is due, best or over."""

    def __init__(self, run: RunDraft, cfg: TrainConfig, *, step: int, emit: Emit) -> None:
        """`step`: of the state that training goes on from; later scores will be made again."""
        self._run, self._rule, self._emit = run, cfg.keep_best, emit
        self._steps, self._averaged = cfg.steps, cfg.optim.ema is not None
        self._scores = [] if self._rule is None else [s for s in run.info.scored if s[0] <= step]

    def due(self, step: int) -> bool:
        """Whether the scores of this step count."""
        return self._rule is not None and (step == self._steps or step % self._rule.every == 0)

    def missing(self, step: int) -> bool:
        """Whether they count and are not recorded."""
        return self.due(step) and all(step != scored for scored, _ in self._scores)

    def add(self, step: int, scoring: Scoring) -> None:
        """Record the scores of a step that is due."""
        assert self._rule is not None
        scores = scoring.ema if self._averaged and scoring.ema is not None else scoring.raw
        value = scores.recorded().model_dump()[self._rule.metric]
        self._scores = [*(s for s in self._scores if s[0] < step), (step, value)]
        self._run.mark_score(step, value)

    @property
    def best(self) -> int | None:
        """The step of the best score so far."""
        if self._rule is None:
            return None
        score = best_of(self._scores, metric=self._rule.metric)
        return None if score is None else score[0]

    @property
    def is_over(self) -> bool:
        """Whether training has run out of patience."""
        return self._rule is not None and is_over(self._scores, self._rule)

    def choose(self) -> int:
        """The step that is the answer of the run; where one was chosen, it is recorded."""
        if self._rule is None:
            return self._steps
        best = best_of(self._scores, metric=self._rule.metric)
        assert best is not None  # the last step is scored
        last = self._scores[-1][0]
        after = f", {show_count(self._steps)} were planned" if last < self._steps else ""
        value = "not finite" if best[1] is None else f"{best[1]:.4g}"
        self._emit(
            Note(
                f"--keep-best {self._rule.metric}: step {show_count(best[0])} ({value}) of "
                f"{show_count(last)}{after}"
            )
        )
        self._run.mark_chosen(best[0])
        return best[0]
