"""What a user gives -> the request of `vitctl advise`; needs no terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast, get_args

from stages.advise.spec import Goal, Inputs, RunsName
from vitctl.advice.budget import parse_budget, parse_error
from vitctl.artifacts import Artifact
from vitctl.artifacts.references import table_file
from vitctl.errors import UsageError
from vitctl.model import variants
from vitctl.plan.bill import amount
from vitctl.recipes import pretraining
from vitctl.recipes.recipe import RecipeName

TOLERANCE = 0.001
"""A tenth of a point: less than one run is sure to."""
_CLASSES = 1000


def resolve(
    *,
    budget: str | None,
    error: str | float | None,
    topology: str | None,
    gpu: str | None,
    runs: str | None,
    metric: str | None,
    models: Sequence[str] | None,
    recipe: RecipeName | None,
    batch: int | None,
    price: str | float | None,
    tolerance: float | None,
) -> Goal:
    """The request. Raises UsageError for what makes no sense together."""
    if budget is not None and error is not None:
        raise UsageError(
            "--budget and --error are both given",
            hint="with a budget the error is the answer, with an error the cost is; keep one",
        )
    if budget is None and error is None:
        raise UsageError(
            "neither a budget nor an error to reach is given",
            hint="as in --budget 200h --topology v5e:4x4, or --error 15%",
        )
    if topology is not None and gpu is not None:
        raise UsageError("--topology and --gpu are both given", hint="keep one of them")
    if tolerance is not None and not 0 <= tolerance < 1:
        raise UsageError(
            f"--tolerance {tolerance:g} is no error between 0 and 1", hint="a point is 0.01"
        )
    if batch is not None and batch < 1:
        raise UsageError(f"--batch {batch} is less than one image")
    spending = None if budget is None else parse_budget(budget)
    paid = amount(
        None if price is None else str(price), option="--price", unit="money an hour and device"
    )
    if spending is not None and spending.unit == "money" and paid is None:
        raise UsageError(
            f"a budget of {spending.text} buys hours only at a price, and none is given",
            hint="the price of one device for an hour: --price 1.2",
        )
    if spending is not None and spending.needs_devices and topology is None and gpu is None:
        topology = "local"
    return Goal(
        budget=spending,
        error=None if error is None else parse_error(error),
        topology=topology,
        gpu=gpu,
        runs=cast(RunsName, runs) if _has_a_name(runs) else None,
        metric=metric,
        models=None if not models else tuple(map(_spelled, models)),
        recipe=recipe,
        batch=batch,
        price=paid,
        tolerance=TOLERANCE if tolerance is None else tolerance,
    )


def _has_a_name(runs: str | None) -> bool:
    return runs in get_args(RunsName)


def _spelled(name: str) -> str:
    """A size's one spelling; any other name may be that of a model of the user's."""
    try:
        return variants.parse(name).name
    except UsageError:
        return name


def resolve_inputs(
    *,
    dataset: Callable[[], Artifact],
    names_dataset: bool,
    examples: int | str | None,
    classes: int | None,
    runs: str | None,
    sweep: Callable[[str], Artifact],
) -> Inputs:
    """The images, and the measured runs, where they are named. `dataset` is called where no number
    is given, `sweep` with the name of one."""
    count = pretraining.example_count(examples, names_dataset=names_dataset)
    if classes is not None and classes < 1:
        raise UsageError(f"--classes {classes} is less than one")
    if classes is not None and count is None:
        raise UsageError("--classes goes with --examples; a dataset has its own")
    table = named = None
    if runs is not None and not _has_a_name(runs):
        table = table_file(runs)
        named = sweep(runs) if table is None else None
    if count is None:
        return Inputs(dataset(), table=table, sweep=named)
    return Inputs(None, count, classes or _CLASSES, table, named)
