"""Choices and what is known of them -> the answer: docs/schemas/advice.schema.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stages.advise.budgets import device_hours
from stages.advise.spec import Goal
from vitctl.advice import choice, fitting, rates
from vitctl.advice.answer import AdvisedRun, EvidenceInWords
from vitctl.advice.choice import Chosen, Contender
from vitctl.advice.evidence import Evidence
from vitctl.advice.fitting import Fitted
from vitctl.advice.rates import DAY_S, HOUR_S, ModelRate
from vitctl.advice.target import Devices
from vitctl.model import accounting
from vitctl.scaling.fit import fit_law
from vitctl.scaling.frontier import frontier
from vitctl.scaling.model_law import ModelLaw
from vitctl.text.quantities import plural, shown_digits


@dataclass(frozen=True)
class Describe:
    """What is known of runs beside their lengths."""

    request: Goal
    fits: Mapping[str, Fitted]
    rates: Mapping[str, ModelRate]
    devices: Devices | None
    examples: int
    wrong: float
    data: str | None
    store: tuple[str, ...]
    probe: tuple[str, ...]

    def run(
        self, one: Contender, steps: int, *, best: float | None, pareto: bool, chosen: Chosen
    ) -> AdvisedRun:
        fitted = self.fits[one.model]
        images = steps * one.batch
        outside = choice.extrapolations(one.law, images=images, examples=self.examples)
        rate = self.rates.get(one.model)
        hours = None if rate is None else images / rate.rate / HOUR_S
        core = rates.paper_rate(fitted.cfg.model)
        parts = fitting.split_as(fitted, steps=steps)
        layout = fitted.layout
        return AdvisedRun(
            model=one.model,
            batch=one.batch,
            steps=steps,
            trunk_steps=parts.trunk,
            cooldown_steps=parts.cooldown,
            images=images,
            epochs=images / self.examples,
            error=one.law.error(images, examples=self.examples),
            interval=one.law.interval(
                images,
                examples=self.examples,
                level=self.request.level,
                beside=self.wrong if outside else 0.0,
            ),
            reading="extrapolated" if outside else "interpolated",
            extrapolated=tuple(outside),
            best=best,
            pareto=pareto,
            chosen=one.model == chosen.model,
            flops=float(images) * fitted.flops_per_image,
            gflops_per_image=accounting.matmul_flops(fitted.cfg.model) / 1e9,
            core_days=None if core is None else images / core / DAY_S,
            hours=None if hours is None or self.devices is None else hours / self.devices.count,
            device_hours=hours,
            money=None
            if hours is None or self.request.price is None
            else hours * self.request.price,
            images_per_second_per_device=None if rate is None else rate.rate,
            images_per_second_low=None if rate is None else rate.low,
            images_per_second_high=None if rate is None else rate.high,
            rate_basis=None if rate is None else rate.basis,
            rate_source=None if rate is None else rate.source,
            peak_bytes=None if layout is None else layout.need.total,
            layout=None if layout is None else f"mesh {layout.spec}, remat {layout.remat}",
            notes=fitted.notes,
            command=fitting.command(
                fitted, steps=steps, data=self.data, store=self.store, probe=self.probe
            ),
        )


def meaning(request: Goal, devices: Devices | None) -> str:
    """The goal in other units."""
    budget = request.budget
    if budget is None:
        return "the cheapest run that is expected to reach it"
    match budget.unit:
        case "images":
            return f"{budget.amount:,.0f} images seen"
        case "flops":
            return f"{budget.amount:.3g} FLOPs, three forward passes an image"
        case "core-days":
            return "days of one TPUv3 core at the paper's throughput"
        case _:
            assert devices is not None
            hours = device_hours(budget, devices, price=request.price)
            return (
                f"{shown_digits(hours, least=4)} device-hours, "
                f"{shown_digits(hours / devices.count, least=4)} hours on "
                f"{plural(devices.count, 'device')}"
            )


def in_words(runs: Evidence, laws: Mapping[str, ModelLaw], wrong: float | None) -> EvidenceInWords:
    worth = {name: None if np.isinf(law.worth) else law.worth for name, law in laws.items()}
    return EvidenceInWords(
        source=runs.source,
        title=runs.title,
        metric=runs.metric,
        runs=len(runs.points),
        models=len(runs.points.models),
        data_sizes=runs.data_sizes,
        foretold=wrong,
        worth=worth,
    )


def frontier_error(runs: Evidence, advised: AdvisedRun) -> float | None:
    """The error by the law of the frontier over all measured runs, at this run's compute."""
    points = runs.points
    at = advised.core_days if runs.source == "paper" else advised.flops
    if at is None or runs.unit not in ("FLOPs", "TPUv3 core-days"):
        return None
    index = frontier(points.compute, points.error)
    if len(index) < 5:
        return None
    return float(fit_law(points.compute[index], points.error[index]).law.error(at))


def cautions_of(runs: Evidence, advised: AdvisedRun, describe: Describe) -> list[str]:
    sentences = []
    if advised.extrapolated:
        sentences.append(
            f"the advice is extrapolated: {advised.model} {', and '.join(advised.extrapolated)}"
        )
    if runs.source == "paper":
        recipe = describe.fits[advised.model].cfg.recipe
        sentences.append(
            "these are errors of the paper's models on its own images: of yours they say which "
            "model and length to choose rather than which error to expect"
            + ("" if recipe == "paper" else f"; its recipe is paper, and this run's is {recipe}")
        )
    devices = describe.devices
    if devices is not None and devices.memory is None:
        sentences.append(f"how much memory {devices.name} has is unknown: whether it fits, too")
    bases = {row.basis for row in describe.rates.values()}
    if "estimated" in bases and devices is not None:
        sentences.append(
            f"speeds on {devices.name} are estimates, nothing was compiled or measured there: "
            "vitctl plan compiles for TPUs, and a run of yours in the store is preferred"
        )
    if devices is not None and devices.hardware is not None and devices.hardware.name is None:
        largest = devices.hardware.largest
        if devices.count > largest:
            sentences.append(
                f"{devices.count} GPUs are several machines, and the network between them is not "
                "in the count"
            )
    return sentences
