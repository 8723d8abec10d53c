"""Why there is no advice, or a model is no candidate; each with what would help."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.advise.spec import Goal
from vitctl.advice import choice
from vitctl.advice.budget import Budget
from vitctl.advice.choice import Contender
from vitctl.advice.target import Devices
from vitctl.errors import UsageError
from vitctl.text.quantities import show_count, shown_digits


def no_cost(request: Goal) -> str:
    if request.budget is not None and request.budget.unit == "core-days":
        return "is no model whose throughput on a TPUv3 core the paper measured"
    return "has no known speed there"


def nothing_known(request: Goal, devices: Devices | None) -> UsageError:
    if devices is None:
        return UsageError(
            "of no measured model the paper has a throughput, so core-days say nothing",
            hint="give the budget in FLOPs or images",
        )
    return UsageError(
        f"no peak of {devices.kind} is known, and no run of the store says how fast it trains, so "
        "hours say nothing",
        hint="train some steps first: vitctl pretrain --mock --model S/16 --steps 30; or give the "
        "budget in FLOPs or images",
    )


def too_small(request: Goal, contenders: Sequence[Contender]) -> UsageError:
    """The budget pays for no measured run; which it would take."""
    cheapest = min(
        (one for one in contenders if one.ever), key=lambda one: one.least * one.batch / one.images
    )
    share = cheapest.least * cheapest.batch / cheapest.images
    budget = request.budget
    assert budget is not None  # an error to reach takes a whole run
    return UsageError(
        f"a budget of {budget.text} is below the smallest measured run: {cheapest.model}, "
        f"{show_count(cheapest.least)} steps of {cheapest.batch}",
        hint=f"that takes {amount(budget, share)}; below it nothing was measured, so nothing can "
        "be advised",
    )


def amount(budget: Budget, share: float) -> str:
    """So many of these budgets, in the budget's unit, rounded up."""
    amount = budget.amount * share
    digits = 10.0 ** (np.floor(np.log10(amount)) - 1)
    rounded = float(np.ceil(amount / digits) * digits)
    unit = {"money": "", "flops": " FLOPs"}.get(budget.unit, f" {budget.unit}")
    return f"{rounded:.3g}{unit}"


def too_few_images(contenders: Sequence[Contender], *, examples: int) -> UsageError:
    smallest = min(one.law.smallest for one in contenders)
    return UsageError(
        f"{show_count(examples)} images are too few for what was measured: they teach every model "
        "less than its shortest measured run did, or it overfits before",
        hint=f"the smallest measured training set has {show_count(round(smallest))}; runs of your "
        "own on such a set would tell",
    )


def not_compared(one: Contender, request: Goal, *, examples: int) -> str:
    if np.isinf(one.fewest):
        return "learns less of these images, however often, than its shortest measured run did"
    if not one.ever:
        return (
            f"overfits after {shown_digits(one.most / examples, least=3)} epochs by measured "
            "runs, and its shortest "
            f"run would be {shown_digits(one.least * one.batch / examples, least=3)}"
        )
    if request.error is not None:
        lowest = choice.lowest_error(one, examples=examples)
        return f"comes down to {100 * lowest:.3g} % on these images, however long it trains"
    return (
        f"would get {show_count(one.steps())} steps, and its shortest measured run has "
        f"{show_count(one.least)} of {one.batch}"
    )
