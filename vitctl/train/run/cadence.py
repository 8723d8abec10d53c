"""When to log, score and save, and which checkpoints stay."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vitctl.train.config import TrainRuntime

# The paper's own cadence for its million-step runs (appendix C): log 50, evaluate and save 1000,
# keep every 10k. Shorter runs get the same picture in as many points.
_LOG, _SAVE = 50, 1_000
_POINTS = 10


@dataclass(frozen=True)
class Cadence:
    """Intervals in steps. `evaluate` 0 means at the end only."""

    total: int
    log: int
    evaluate: int
    save: int
    keep: int
    newest: int

    @classmethod
    def of(
        cls, runtime: TrainRuntime, *, first_step: int, total: int, scored: int | None = None
    ) -> Cadence:
        """`scored`: the interval of scores that decide something; they are due anyway."""
        length = total - first_step
        tenth = max(1, -(-length // _POINTS))
        save = runtime.checkpoint_every or min(_SAVE, tenth)
        keep = runtime.keep_every or max(save, -(-tenth // save) * save)
        evaluate = runtime.eval_every if runtime.eval_every is not None else scored or save
        log = runtime.log_every or max(1, min(_LOG, length // 50))
        return cls(total, log, evaluate, save, keep, runtime.keep_newest)

    def due(self, every: int, step: int) -> bool:
        """Whether something with this interval happens after `step` finished steps."""
        return step == self.total or (every > 0 and step % every == 0)

    def saves(self, step: int) -> bool:
        """Whether a checkpoint is due: also where one is to be kept."""
        return self.due(self.save, step) or self.due(self.keep, step)

    def pauses_after(self, step: int) -> dict[str, int]:
        """How often a run at `step` will still save and score until its end."""
        rest = range(step + 1, self.total + 1)
        saves = {s for every in (self.save, self.keep) for s in _multiples(every, rest)}
        scores = _multiples(self.evaluate, rest) if self.evaluate else []
        last = {self.total} if rest else set()
        return {"checkpoint": len(saves | last), "evaluation": len({*scores} | last)}

    def to_drop(
        self, steps: Iterable[int], *, keep: Iterable[int], intervals: Iterable[int] = ()
    ) -> list[int]:
        """Which checkpoints go: not wanted, not among the newest, not at a multiple of `keep` or of
        an interval that an earlier start of the run promised to keep. What a signal saved between
        two that were due counts as older than both: a run that was stopped ends with the
        checkpoints of one that was not."""
        ordered = sorted(steps, key=lambda step: (self.saves(step), step))
        stay = {*keep, *ordered[-self.newest :]}
        every = {self.keep, *intervals}
        gone = (step for step in ordered if step not in stay and all(step % n for n in every))
        return sorted(gone)


def _multiples(every: int, steps: range) -> range:
    """Those of `steps` that `every` divides."""
    return range(-(-steps.start // every) * every, steps.stop, every)
