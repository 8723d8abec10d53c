"""Which checkpoint of a run is the best by its held-out scores, and when to stop looking.

What counts are the scores at the multiples of `keep_best.every` and at the end, as run.json records
them: so the same checkpoint is chosen however often the run was stopped, or whatever else it scored
in between. They are of the average of the weights where the run keeps one, which is what later
commands take.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.run_draft import RunDraft
from vitctl.events import Caution, Emit, Note
from vitctl.inference.scoring import Scoring
from vitctl.text.quantities import show_count, shown_digits
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


def obtainable(scores: Sequence[Score], *, stored: Collection[int], metric: str) -> list[Score]:
    """`scores` without the best ones, as far as their checkpoints are not among those `stored`.
    Worse ones stay, whose checkpoints are usually not kept: patience counts them."""
    left = list(scores)
    while (best := best_of(left, metric=metric)) is not None and best[0] not in stored:
        left.remove(best)
    return left


class BestSoFar:
    """The scores of one start of a run. Without `cfg.keep_best` nothing is due, best or over.

    `best` and `is_over` are asked for after every step, so they are kept, not looked for: a run may
    have tens of thousands of scores.
    """

    def __init__(self, run: RunDraft, cfg: TrainConfig, *, step: int, emit: Emit) -> None:
        """`step`: of the state that training goes on from; later scores will be made again.

        A better score whose checkpoint is gone is no more to be had, and forgotten: after a
        divergence a run may go back behind the best one, which had taken the place of another.
        """
        self._run, self._rule, self._emit = run, cfg.keep_best, emit
        self._steps, self._averaged = cfg.steps, cfg.optim.ema is not None
        self._scored: set[int] = set()
        self._best: Score | None = None
        self._last, self._waited = 0, 0
        self._reported: set[int] = set()
        if self._rule is not None:
            scores = [score for score in run.info.scored if score[0] <= step]
            for score in self._usable(scores, self._rule):
                self._count(score, self._rule)

    def _usable(self, scores: Sequence[Score], rule: KeepBest) -> list[Score]:
        """Those that are to be had, without a best one whose checkpoint is damaged, which is
        said."""
        stored = set(self._run.steps())
        damaged: list[tuple[Score, str]] = []
        while True:
            left = obtainable(scores, stored=stored, metric=rule.metric)
            best = best_of(left, metric=rule.metric)
            problem = None if best is None else self._run.damage(best[0])
            if best is None or problem is None:
                break
            damaged.append((best, problem))
            stored.remove(best[0])
        rest = "no other is left yet" if best is None else f"the best left is {_shown(best)}"
        for score, problem in damaged:
            if score[0] in self._reported:  # said before
                continue
            self._reported.add(score[0])
            self._emit(
                Caution(f"the best checkpoint so far, {_shown(score)}, is lost: {problem}; {rest}")
            )
        return left

    def due(self, step: int) -> bool:
        """Whether the scores of this step count."""
        return self._rule is not None and (step == self._steps or step % self._rule.every == 0)

    def missing(self, step: int) -> bool:
        """Whether they count and are not recorded."""
        return self.due(step) and step not in self._scored

    def add(self, step: int, scoring: Scoring) -> None:
        """Record the scores of a step that is due."""
        assert self._rule is not None
        if step in self._scored:  # by an earlier start, whose row of metrics a crash took
            return
        scores = scoring.ema if self._averaged and scoring.ema is not None else scoring.raw
        value = scores.recorded().model_dump()[self._rule.metric]
        self._count((step, value), self._rule)
        self._run.mark_score(step, value)

    def _count(self, score: Score, rule: KeepBest) -> None:
        """Take in a score that is later than all before it."""
        self._scored.add(score[0])
        self._last = score[0]
        rivals = [score] if self._best is None else [self._best, score]
        best = best_of(rivals, metric=rule.metric)
        self._waited = 0 if best is score else self._waited + 1
        self._best = best

    @property
    def best(self) -> int | None:
        """The step of the best score so far."""
        return None if self._best is None else self._best[0]

    @property
    def is_over(self) -> bool:
        """Whether training has run out of patience: none of the last scores is better than the one
        before them."""
        patience = None if self._rule is None else self._rule.patience
        return patience is not None and self._waited >= patience

    def choose(self) -> Artifact:
        """The answer of the run; where one was chosen, that is recorded."""
        if self._rule is None:
            return self._run.checkpoint(self._steps)
        last = self._last
        scores = [score for score in self._run.info.scored if score[0] <= last]
        best = best_of(self._usable(scores, self._rule), metric=self._rule.metric)
        if best is None:  # the last step is scored and saved: nothing is left but what is damaged
            return self._run.checkpoint(last)
        chosen = self._run.checkpoint(best[0])
        after = f", {show_count(self._steps)} were planned" if last < self._steps else ""
        self._emit(
            Note(f"--keep-best {self._rule.metric}: {_shown(best)} of {show_count(last)}{after}")
        )
        self._run.mark_chosen(best[0])
        return chosen


def _shown(score: Score) -> str:
    value = "not finite" if score[1] is None else shown_digits(score[1], least=4)
    return f"step {show_count(score[0])} ({value})"
