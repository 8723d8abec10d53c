"""Laws of models, what their images cost, and a budget -> what to train.

A budget buys each model its own number of images, and its law says what error those give on a
training set of this size. The best is the lowest; of all that come within a tolerance of it, the
run that takes the smallest part of the budget is chosen, so that a budget past what the data can
teach is not spent on repeats. A model for which the budget does not reach its shortest measured run
is not chosen: nothing was measured down there. So a larger budget never is expected to do worse.

Nothing here opens a file or prints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vitctl.scaling.model_law import ModelLaw
from vitctl.text.quantities import shown_digits

MOST_IMAGES = 1e15
"""Of any run: what `pretrain --images` takes."""
SCALES = (1 / 16, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 16.0)
"""Budgets that are looked at, in units of the one given."""


@dataclass(frozen=True)
class Contender:
    """A model, its law, images a step, images that the whole budget buys, and the fewest and the
    most that it may see: what its shortest measured run saw, and what it sees before it overfits.
    """

    law: ModelLaw
    batch: int
    images: float
    fewest: float
    most: float

    @property
    def model(self) -> str:
        return self.law.model

    @property
    def least(self) -> int:
        """Steps of its shortest measured run."""
        return max(1, math.ceil(self.fewest / self.batch * (1 - 1e-12)))

    def steps(self, scale: float = 1.0) -> int:
        """Steps that `scale` budgets buy, or that it takes until it overfits."""
        return math.floor(min(self.images * scale, self.most) / self.batch * (1 + 1e-12))

    @property
    def ever(self) -> bool:
        """Whether a run as short as its shortest measured one ends before it overfits."""
        return math.isfinite(self.fewest) and self.least * self.batch <= self.most


@dataclass(frozen=True)
class Chosen:
    """What to train: `share` is the part of the budget that it takes."""

    model: str
    steps: int
    images: int
    error: float
    share: float


def reachable(contenders: Sequence[Contender], scale: float = 1.0) -> list[Contender]:
    """Those whose shortest measured run `scale` budgets pay for."""
    return [one for one in contenders if one.ever and one.steps(scale) >= one.least]


def choose(
    contenders: Sequence[Contender], *, examples: float, tolerance: float, scale: float = 1.0
) -> Chosen | None:
    """What to train with `scale` budgets on `examples` images; None if they pay for no run."""
    runs = [
        (one, run_of(one, one.steps(scale), examples=examples))
        for one in reachable(contenders, scale)
    ]
    if not runs:
        return None
    enough = min(run.error for _, run in runs) + tolerance
    shortened = [
        _shortened(one, run, enough=enough, examples=examples)
        for one, run in runs
        if run.error <= enough
    ]
    return min(shortened, key=lambda run: (run.share, run.error))


def cheapest(contenders: Sequence[Contender], *, examples: float, error: float) -> Chosen | None:
    """The run of the smallest share that is expected to reach `error`; None if none ever does.
    `images` of the contenders are of one unit of cost."""
    runs = []
    for one in contenders:
        needed = one.law.images(error, examples=examples)
        if needed is not None and one.ever and needed <= one.most:
            runs.append(run_of(one, _steps(one, needed), examples=examples))
    return min(runs, key=lambda run: (run.share, run.error), default=None)


def lowest_error(one: Contender, *, examples: float) -> float:
    """What a model comes down to on these images, however long it trains."""
    return one.law.error(one.most, examples=examples)


def run_of(one: Contender, steps: int, *, examples: float) -> Chosen:
    images = steps * one.batch
    error = one.law.error(images, examples=examples)
    return Chosen(one.model, steps, images, error, images / one.images)


def contender(law: ModelLaw, *, batch: int, images: float, examples: float) -> Contender:
    """A model on a training set of `examples` images."""
    fewest, most = law.least_images(examples), law.most_images(examples)
    return Contender(law, batch, images, fewest, min(most, MOST_IMAGES))


def _steps(one: Contender, images: float) -> int:
    return max(one.least, math.ceil(images / one.batch * (1 - 1e-12)))


def _shortened(one: Contender, run: Chosen, *, enough: float, examples: float) -> Chosen:
    """The shortest run of this model whose error is low enough."""
    needed = one.law.images(enough, examples=examples)
    if needed is None:
        return run
    return run_of(one, min(run.steps, _steps(one, needed)), examples=examples)


def winners(
    runs: Sequence[tuple[Contender, int]], *, examples: float, seed: int = 0
) -> dict[str, float]:
    """How often each model, trained for its steps, is the best of all: new runs, drawn with the
    scatter of runs about laws of drawn tables."""
    if not runs:
        return {}
    rng = np.random.default_rng(seed)
    errors = np.stack(
        [one.law.new_runs(steps * one.batch, examples=examples, rng=rng) for one, steps in runs]
    )
    best = np.bincount(np.argmin(errors, axis=0), minlength=len(runs)) / errors.shape[1]
    return {one.model: float(part) for (one, _), part in zip(runs, best, strict=True)}


def on_pareto_frontier(rows: Sequence[tuple[float, float]]) -> list[bool]:
    """Which of (cost of using it, error) no other row is better than in one and as good in both."""
    return [
        not any(other != row and other[0] <= row[0] and other[1] <= row[1] for other in rows)
        for row in rows
    ]


def ladder(
    contenders: Sequence[Contender], *, examples: float, tolerance: float
) -> list[tuple[float, Chosen]]:
    """What to train with other budgets: (scale, what), where that pays for a run."""
    rows = [
        (scale, choose(contenders, examples=examples, tolerance=tolerance, scale=scale))
        for scale in SCALES
    ]
    return [(scale, run) for scale, run in rows if run is not None]


def in_units(contenders: Sequence[Contender], amount: float) -> list[Contender]:
    """Contenders of one unit of cost -> of so many."""
    return [replace(one, images=one.images * amount) for one in contenders]


_SAME_SIZE = 1.1
"""Training sets within this factor are of one size: a study of "1.3M images" is of ImageNet's."""
_SAME_LENGTH = 1.001
"""Rounded to steps, a run is a little longer than it was measured."""


def extrapolations(one: ModelLaw, *, images: float, examples: float) -> list[str]:
    """In what a run lies outside of what was measured of its model, in words; none of one that lies
    between measured runs."""
    reasons = []
    if images > one.longest * _SAME_LENGTH:
        reasons.append(
            f"{shown_digits(images / one.longest, least=2)} times as long as its longest measured "
            "run"
        )
    if examples * _SAME_SIZE < one.smallest:
        reasons.append(
            f"on {shown_digits(one.smallest / examples, least=2)} times fewer images than its "
            "smallest measured set"
        )
    if examples > one.largest * _SAME_SIZE and images > one.largest:
        reasons.append(
            f"on {shown_digits(examples / one.largest, least=2)} times more images than its "
            "largest measured set"
        )
    if images / examples > one.most_epochs * _SAME_SIZE and images > examples:
        reasons.append(
            f"{shown_digits(images / examples / max(one.most_epochs, 1.0), least=2)} times as "
            "many epochs as its "
            "measured runs"
        )
    if images > examples and not one.determined and not one.smallest == one.largest == examples:
        reasons.append("what repeats are worth to it was not measured")
    return reasons
