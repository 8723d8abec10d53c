"""The learning rate that is best on images held out of those to train on.

Every candidate is a run of its own in the store, trained as the result will be, but without the
held-out images: it is found again, or continued, like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from stages.finetune.spec import Sweep
from vitctl.artifacts import Artifact
from vitctl.artifacts.kinds.checkpoint import Scores, TriedRate
from vitctl.data.config import HELD_OUT
from vitctl.errors import DivergedError
from vitctl.events import Caution, Emit, Note, Settings
from vitctl.recipes.held_out_scores import in_words, try_rate
from vitctl.settings.trees import Tree, merge
from vitctl.text.quantities import counted, plural
from vitctl.train.config import TrainConfig

_FEW = 100
"""Held-out images below which a difference of candidates is mostly chance: one image is over a
point."""


def candidates(cfg: TrainConfig, sweep: Sweep) -> list[TrainConfig]:
    """The settings of each candidate, in the order of the rates."""
    held_out = {"eval_split": HELD_OUT, "held_out": sweep.share}
    return [
        _changed(cfg, {"schedule": {"peak_lr": rate}, "data": held_out}) for rate in sweep.rates
    ]


def train_candidates(
    cfg: TrainConfig, sweep: Sweep, *, train: Callable[[TrainConfig], Artifact], emit: Emit
) -> tuple[TriedRate, ...]:
    """Train each candidate and score it; one that diverges has no scores.

    Raises DivergedError if all do.
    """
    tried = []
    for of_rate in candidates(cfg, sweep):
        rate = of_rate.schedule.peak_lr
        emit(Note(f"--sweep-lr: {rate:g}, with {sweep.share:.3g} of the images held out"))
        tried.append(try_rate(of_rate, train=train, diverged=f"--lr {rate:g}", emit=emit))
    if all(candidate.scores is None for candidate in tried):
        lower = ",".join(f"{min(sweep.rates) / factor:.1g}" for factor in (10, 30))
        raise DivergedError(
            "all learning rates of --sweep-lr diverged", hint=f"try lower ones: --sweep-lr {lower}"
        )
    return tuple(tried)


def choose(
    cfg: TrainConfig, tried: Iterable[TriedRate], *, emit: Emit
) -> tuple[TrainConfig, TriedRate]:
    """The settings with the best rate: by top-1, then by the loss, then the one given first. Emits
    the table of candidates."""
    tried = tuple(tried)
    scored = [(c, c.scores) for c in tried if c.scores is not None]
    best, scores = max(scored, key=lambda pair: rank(pair[1]))
    title = f"sweep of --lr on {counted(scores.examples, 'held-out image')}"
    emit(Settings(title, {f"{c.lr:g}": in_words(c, chosen=c is best) for c in tried}))
    if scores.examples < _FEW and len(tried) > 1:
        emit(
            Caution(
                f"the learning rate was chosen on {plural(scores.examples, 'image')}, one of which "
                f"is {1 / scores.examples:.1%}: differences are mostly chance; --hold-out 0.2 "
                "would hold out more, of the final run, too"
            )
        )
    return _changed(cfg, {"schedule": {"peak_lr": best.lr}}), best


def rank(scores: Scores) -> tuple[float, float]:
    """Sorts scores, the best last."""
    return scores.top1, float("-inf") if scores.loss is None else -scores.loss


def _changed(cfg: TrainConfig, changes: Tree) -> TrainConfig:
    return TrainConfig.model_validate(merge(cfg.model_dump(mode="json"), changes))
