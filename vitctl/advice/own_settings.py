"""What a run of the user's was trained with that its recipe would not have chosen, and which runs
of a model were trained alike.

A law is of runs that differ in length and images alone. So of a model's runs with several settings
those of one setting count, and the command that is advised has that setting. Learning rates are
an exception: each cell may have its own, as a sweep chooses them, and of several the best counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from vitctl.advice.evidence import Cell, OwnTraining
from vitctl.recipes import settings
from vitctl.recipes.pretraining import ImageFacts
from vitctl.settings.overrides import Overrides
from vitctl.settings.trees import flat, from_keys
from vitctl.train.config import TrainConfig

K = TypeVar("K", bound=Hashable)

RATE = "schedule.peak_lr"
SIZES = ("width", "depth", "mlp_dim", "heads", "patch")
_GIVEN = ("data.batch", "model.resolution", *(f"model.{size}" for size in SIZES))
"""Settings that decide others; advice has ways of its own to name them."""
_DECIDING = ("loss", "schedule.kind", "data.held_out")
"""Settings that decide others, and are a run's own where they are not the recipe's."""
_OF_A_RUN = {
    "name", "recipe", "seed", "precision", "from_weights", "data.split", "data.eval_split",
    "data.first_step", "model.classes", "schedule.total_steps", "schedule.cooldown_steps",
    "schedule.cooldown_shape",
}  # fmt: skip
"""Settings that are of one run, its images, its length or its machine."""


def of_its_own(cfg: TrainConfig, images: ImageFacts) -> dict[str, Any]:
    """Settings by dotted key that are other than `cfg`'s recipe makes them for such images. Raises
    UsageError where the recipe has none for them."""
    tree = flat(cfg.model_dump(mode="json"))
    given = {key: tree[key] for key in _GIVEN} | {"name": cfg.name}

    def usual(chosen: Mapping[str, Any]) -> dict[str, Any]:
        made = settings.resolve(
            Overrides(settings=from_keys({**given, **chosen})),
            model=None,
            recipe=cfg.recipe,
            length=(float(cfg.steps), "steps"),
            images=lambda _: images,
            mock=False,
            target_precision=cfg.precision,
        )
        return flat(made.cfg.model_dump(mode="json"))

    before = usual({})
    chosen = {key: tree.get(key) for key in _DECIDING if tree.get(key) != before.get(key)}
    before = usual(chosen) if chosen else before
    rest = {
        key: value
        for key, value in tree.items()
        if key not in _OF_A_RUN and key not in _GIVEN and value != before.get(key)
    }
    return chosen | rest


def as_flags(own: Mapping[str, Any]) -> list[str]:
    """As arguments of `pretrain`."""
    return [f"--set={key}={_written(value)}" for key, value in own.items()]


def _written(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)


# ---- Runs that were trained alike


@dataclass(frozen=True)
class Measurement:
    """An error that was measured of a model of the user's. `own` is as of `of_its_own`; `probe` the
    beginning of the command that measures it."""

    metric: str
    cell: Cell
    cfg: TrainConfig
    own: Mapping[str, Any]
    probe: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The same of runs that differ in length, images, seed and learning rate alone."""
        own = {key: value for key, value in self.own.items() if key != RATE}
        return json.dumps([self.cfg.recipe, own], sort_keys=True)

    @property
    def place(self) -> tuple[int, int]:
        """Length and training set."""
        return self.cell.images, self.cell.examples


@dataclass(frozen=True)
class Alike:
    """The runs of one model that count, how many others there are, and how the longest of the
    former on the most images was trained."""

    runs: Sequence[Measurement]
    others: int
    trained: OwnTraining


def alike(runs: Sequence[Measurement]) -> Alike:
    """Of one model's runs those whose settings were tried at the most lengths, of equals those that
    did best where all of these were tried; of several learning rates in a cell the best one's."""
    kinds = _by(runs, lambda run: run.kind)
    lengths = {kind: len({run.cell.images for run in of_kind}) for kind, of_kind in kinds.items()}
    rivals = [kinds[kind] for kind in kinds if lengths[kind] == max(lengths.values())]
    shared = set.intersection(*({run.place for run in rival} for rival in rivals))
    best = min(
        (_at_the_best_rates(rival) for rival in rivals),
        key=lambda rival: np.mean(
            [run.cell.error for run in rival if run.place in shared or not shared]
        ),
    )
    longest = max(best, key=lambda run: (run.cell.examples, run.cell.images))
    schedule = longest.cfg.schedule
    share = None if schedule.cooldown_steps is None else schedule.cooldown_steps / longest.cfg.steps
    trained = OwnTraining(longest.own, share, schedule.cooldown_shape)
    return Alike(best, len(runs) - len(best), trained)


def _at_the_best_rates(runs: Sequence[Measurement]) -> list[Measurement]:
    chosen: list[Measurement] = []
    for of_place in _by(runs, lambda run: run.place).values():
        rates = _by(of_place, lambda run: run.cfg.schedule.peak_lr).values()
        chosen += min(rates, key=lambda seeds: np.mean([run.cell.error for run in seeds]))
    return chosen


def _by(runs: Iterable[Measurement], key: Callable[[Measurement], K]) -> dict[K, list[Measurement]]:
    groups: dict[K, list[Measurement]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return groups
