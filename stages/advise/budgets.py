"""What a budget is on these devices: hours of them, and images of each model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stages.advise.spec import Goal
from vitctl.advice import rates
from vitctl.advice.budget import Budget
from vitctl.advice.fitting import Fitted
from vitctl.advice.rates import DAY_S, HOUR_S, ModelRate
from vitctl.advice.target import Devices


def images(
    request: Goal,
    fits: Sequence[Fitted],
    rate: Mapping[str, ModelRate],
    devices: Devices | None,
) -> dict[str, float]:
    """Images of each model that the budget buys; with an error to reach, that one unit of cost
    does: an hour of a device where all speeds are known, else a FLOP."""
    if request.error is not None:
        if rate and len(rate) == len(fits):
            return {one.model: rate[one.model].rate * HOUR_S for one in fits}
        return {one.model: 1.0 / one.flops_per_image for one in fits}
    budget = request.budget
    assert budget is not None
    match budget.unit:
        case "images":
            return {one.model: budget.amount for one in fits}
        case "flops":
            return {one.model: budget.amount / one.flops_per_image for one in fits}
        case "core-days":
            core = {one.model: rates.paper_rate(one.cfg.model) for one in fits}
            return {m: budget.amount * DAY_S * r for m, r in core.items() if r is not None}
        case _:
            assert devices is not None
            hours = device_hours(budget, devices, price=request.price)
            return {model: hours * HOUR_S * known.rate for model, known in rate.items()}


def device_hours(budget: Budget, devices: Devices, *, price: float | None) -> float:
    match budget.unit:
        case "hours":
            return budget.amount * devices.count
        case "chip-hours":
            return budget.amount * devices.devices_per_chip
        case "money":
            assert price is not None  # checked with the request
            return budget.amount / price
        case _:
            return budget.amount
