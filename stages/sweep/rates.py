"""The learning rate of a trunk: the best of some candidates on training images that are held out.

Each candidate is a run of its own in the store, with a cooldown at its end: without one, low rates
look better than they are. The loss decides, as top-1 hardly moves in a short run; the test set is
never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stages.sweep.trunks import RateSearch
from vitctl.artifacts import Artifact
from vitctl.artifacts.kinds.checkpoint import Scores, TriedRate
from vitctl.artifacts.kinds.sweep import RateOfSweep
from vitctl.errors import DivergedError
from vitctl.events import Caution, Emit, Note, Settings
from vitctl.recipes.held_out_scores import in_words, try_rate
from vitctl.text.quantities import show_count
from vitctl.train.config import TrainConfig


def choose(
    search: RateSearch, *, train: Callable[[TrainConfig], Artifact], emit: Emit
) -> RateOfSweep:
    """Train each candidate and take the best. Raises DivergedError if all diverge."""
    title = f"learning rate of {search.model} on {show_count(search.size)} images"
    tried = []
    for cfg in search.candidates:
        rate = cfg.schedule.peak_lr
        emit(Note(f"{title}: {rate:g}, {cfg.steps:,} steps"))
        diverged = f"{title}: {rate:g} diverged"
        tried.append(try_rate(cfg, train=train, diverged=diverged, emit=emit))
    best = best_of(tried)
    if best is None:
        raise DivergedError(
            f"all candidates diverged for the {title}",
            hint=f"add lower ones to lr.candidates, as {min(c.lr for c in tried) / 10:.2g}",
        )
    emit(Settings(title, {f"{one.lr:g}": in_words(one, chosen=one is best) for one in tried}))
    if (caution := at_the_edge(best, tried)) is not None:
        emit(Caution(f"{title}: {caution}"))
    return RateOfSweep(
        model=search.model,
        data_size=search.size,
        steps=search.candidates[0].steps,
        lr=best.lr,
        tried=tuple(tried),
    )


def best_of(tried: Sequence[TriedRate]) -> TriedRate | None:
    """That of the least loss, of equals the one with more right, then the first; None if all
    diverged."""
    scored = [(one, one.scores) for one in tried if one.scores is not None]
    return min(scored, key=lambda pair: _rank(pair[1]))[0] if scored else None


def _rank(scores: Scores) -> tuple[float, float]:
    return float("inf") if scores.loss is None else scores.loss, -scores.top1


def at_the_edge(best: TriedRate, tried: Sequence[TriedRate]) -> str | None:
    """A caution where a rate beyond the candidates may be better, else None."""
    rates = [one.lr for one in tried]
    if best.lr == max(rates):
        return f"the best is the highest candidate, {best.lr:g}: a higher one may be better"
    if best.lr == min(rates):
        return f"the best is the lowest candidate, {best.lr:g}: a lower one may be better"
    return None
