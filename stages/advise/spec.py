"""What `vitctl advise` reads and decides: the request, and the inputs. Its answer is
`vitctl.advice.answer.Advice`, docs/schemas/advice.schema.json."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vitctl.advice.budget import Budget
from vitctl.artifacts import Artifact
from vitctl.recipes.recipe import RecipeName

RunsName = Literal["store", "paper"]
"""Measured runs that have a name of their own: those of the store, and the paper's points."""


@dataclass(frozen=True)
class Goal:
    """What is to be reached, and with what.

    Attributes:
      budget: or None, where `error` is to be reached.
      topology, gpu: the devices; both None: no devices are named.
      runs: "store" or "paper"; None: those of `Inputs.table` or `Inputs.sweep` if there is one,
        else the store's if they are enough.
      metric: whose error; None takes the first.
      models: the candidates; None takes all that were measured.
      price: of a device for an hour.
      tolerance: error that a smaller part of the budget may cost.
      level: of intervals.
    """

    budget: Budget | None
    error: float | None
    topology: str | None
    gpu: str | None
    runs: RunsName | None
    metric: str | None
    models: tuple[str, ...] | None
    recipe: RecipeName | None
    batch: int | None
    price: float | None
    tolerance: float
    level: float = 0.95


@dataclass(frozen=True)
class Inputs:
    """The images to train on: a dataset, or so many in so many classes. And the measured runs to
    rest on, where they are named: a table or a sweep."""

    dataset: Artifact | None
    examples: int | None = None
    classes: int | None = None
    table: Path | None = None
    sweep: Artifact | None = None
