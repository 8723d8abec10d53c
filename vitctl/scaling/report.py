"""A study -> its summary."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from vitctl.scaling.allocation import Allocation
from vitctl.scaling.bottlenecks import Best
from vitctl.scaling.compare import ComparedForm, Extrapolation
from vitctl.scaling.efficiency import SampleEfficiency
from vitctl.scaling.laws import PARAMETERS, Law
from vitctl.scaling.points import Points
from vitctl.scaling.published import DECIMALS, PUBLISHED
from vitctl.scaling.repeats import Repeats, share
from vitctl.scaling.seeds import Seeds
from vitctl.scaling.study import OFF_LAW, Study, cautions
from vitctl.scaling.summary import (
    AllocationSummary,
    Band,
    BestRun,
    Bootstrap,
    Bottlenecks,
    CandidateSummary,
    EfficiencySummary,
    ExtrapolationSummary,
    FitSummary,
    ForecastSummary,
    FormChosen,
    HeldOut,
    LargestRun,
    LawSummary,
    Methods,
    PublishedLaw,
    Repeated,
    RepeatsSummary,
    RunToLaw,
    SeedsSummary,
    SelectionSummary,
    Starts,
    VariantSummary,
    WithoutTerm,
)

_EPOCHS = (2, 4, 10, 40, 100)


def summary(
    result: Study, *, unit: str, against: str | None, seeds: Seeds | None = None
) -> FitSummary:
    """The answer: law, intervals, frontier, residuals, and all that follows from them.

    `unit` names the unit of compute, `against` a published law to measure residuals from as well;
    `seeds` is what repeated runs told.
    """
    fit, drawn = result.fit, result.drawn
    rows = residuals(result, against=PUBLISHED[against].law if against else None, seeds=seeds)
    return FitSummary(
        **_parameters(fit.law),
        form=fit.form,
        measure=result.points.measure,
        compute_unit=unit,
        intervals={name: result.intervals.get(name) for name in PARAMETERS},
        interval_level=result.settings.level,
        interval_methods=Methods(
            profile=dict(result.profile),
            bootstrap={
                name: drawn.interval(name, level=result.settings.level) for name in fit.free
            },
        ),
        selection=_selection(result),
        bootstrap=Bootstrap(
            resampling=drawn.resampling, fitted=len(drawn.theta), failed=drawn.failed
        ),
        correlation=fit.correlation,
        scatter=fit.scatter,
        points=len(result.points),
        starts=Starts(tried=fit.starts, at_minimum=fit.starts_at_minimum),
        at_bound=fit.at_bound,
        frontier=tuple(rows[i] for i in result.frontier),
        residuals=tuple(rows),
        off_law=tuple(rows[i] for i in result.frontier if rows[i].off_law),
        largest_run=largest_run(result, against=against),
        variants=tuple(_variant(variant) for variant in result.variants),
        extrapolation=tuple(_extrapolation(one) for one in result.extrapolations),
        held_out=tuple(
            HeldOut(form=one.form, rmse=one.rmse, predicted=one.predicted, wins=one.wins)
            for one in result.held_out
        ),
        form_chosen=None if result.choice is None else FormChosen(**asdict(result.choice)),
        repeats=_repeats(result.repeats),
        bottlenecks=Bottlenecks(
            by_model=tuple(_best(result, best) for best in result.by_model),
            by_data=tuple(_best(result, best) for best in result.by_data),
            by_model_and_data=tuple(_best(result, best) for best in result.by_model_and_data),
        ),
        sample_efficiency=tuple(_efficiency(one) for one in result.efficiencies),
        allocation=tuple(_allocation(one) for one in result.allocations),
        cautions=tuple(cautions(result)),
        seeds=None if seeds is None else SeedsSummary(**asdict(seeds)),
    )


def band(result: Study) -> Band:
    """The law and its interval from a third of the smallest to three times the largest compute.

    The interval spans the bootstrap and the law behind lucky runs; without a usable bootstrap it
    is the law itself.
    """
    compute = result.points.compute
    grid = np.geomspace(compute.min() / 3, compute.max() * 3, 121)
    error = result.law.error(grid)
    low = high = error
    if result.drawn.usable:
        tail = 50 * (1 - result.settings.level)
        low, high = np.percentile(result.drawn.errors(grid), [tail, 100 - tail], axis=0)
    if result.selection is not None:
        unlucky = result.selection.law.error(grid)
        low, high = np.minimum(low, unlucky), np.maximum(high, unlucky)
    columns = {"compute": grid, "error": error, "low": low, "high": high}
    return Band(**{name: column.tolist() for name, column in columns.items()})


def residuals(result: Study, *, against: Law | None, seeds: Seeds | None = None) -> list[RunToLaw]:
    """One a run, in the table's order.

    `off` is the residual in standard deviations of the frontier's scatter. A run is `off_law`
    where that passes two, on the frontier or not; runs above the frontier mostly are.
    """
    points, on = result.points, result.on_frontier
    predicted = result.law.error(points.compute)
    printed = None if against is None else against.error(points.compute)
    return [
        RunToLaw(
            **_run_of(result, i),
            predicted=float(predicted[i]),
            residual=float(result.residual[i]),
            off=float(result.off[i]),
            on_frontier=bool(on[i]),
            off_law=bool(abs(result.off[i]) > OFF_LAW),
            **_given(
                residual_against=None if printed is None else float(points.error[i] - printed[i]),
                **_averaged(points, seeds, i),
            ),
        )
        for i in range(len(points))
    ]


def _averaged(points: Points, seeds: Seeds | None, i: int) -> dict[str, Any]:
    """How many runs point `i` is the mean of, and its standard error, where seeds are repeated."""
    if points.by_seed is None or seeds is None or not seeds.freedom:
        return {}
    count = len(points.by_seed[i])
    return {"seeds": count, "deviation": seeds.noise / math.sqrt(count)}


def largest_run(result: Study, *, against: str | None) -> LargestRun:
    """The run of most compute (the best of them): how it stands to the law, and to a published
    one, whose printed coefficients are rounded; `rounding` is what that alone can move."""
    points = result.points
    top = points.compute == points.compute.max()
    i = int(min((j for j in range(len(points)) if top[j]), key=lambda j: points.error[j]))
    without = None
    if result.without_largest is not None and i == result.frontier[-1]:
        without = float(result.without_largest.error(points.compute[i]))
    return LargestRun(
        **_run_of(result, i),
        predicted=float(result.law.error(points.compute[i])),
        predicted_without=without,
        residual=float(result.residual[i]),
        against=None if against is None else _published(result, i, name=against),
    )


def _published(result: Study, i: int, *, name: str) -> PublishedLaw:
    """How run `i` stands to a published law."""
    law, compute = PUBLISHED[name].law, float(result.points.compute[i])
    predicted = float(law.error(compute))
    return PublishedLaw(
        name=name,
        title=PUBLISHED[name].title,
        **_parameters(law),
        decimals=DECIMALS,
        predicted=predicted,
        residual=float(result.points.error[i]) - predicted,
        rounding=law.rounding(compute, decimals=DECIMALS),
    )


def _parameters(law: Law) -> dict[str, Any]:
    return {name: getattr(law, name) for name in PARAMETERS}


_NO_PARAMETERS: dict[str, Any] = dict.fromkeys(PARAMETERS)


def _given(**fields: Any) -> dict[str, Any]:
    """Without fields that are not recorded where there is nothing to say."""
    return {name: value for name, value in fields.items() if value is not None}


def _run_of(result: Study, i: int) -> dict[str, Any]:
    points = result.points
    return {
        "row": int(points.row[i]),
        "model": None if points.model is None else str(points.model[i]),
        "data_size": None if points.data_size is None else float(points.data_size[i]),
        "images": None if points.images is None else float(points.images[i]),
        "compute": float(points.compute[i]),
        "error": float(points.error[i]),
    }


def _selection(result: Study) -> SelectionSummary | None:
    chosen = result.selection
    if chosen is None:
        return None
    law = LawSummary(**_parameters(chosen.law))
    return SelectionSummary(law=law, noise=chosen.noise, crowd=chosen.crowd)


def _variant(variant: ComparedForm) -> VariantSummary:
    fit = variant.fit
    return VariantSummary(
        form=variant.form,
        **(_parameters(fit.law) if fit else _NO_PARAMETERS),
        scatter=fit.scatter if fit else None,
        aic=fit.aic if fit else None,
        aicc=fit.aicc if fit else None,
        delta_aicc=variant.delta_aicc,
        weight=variant.weight,
    )


def _extrapolation(one: Extrapolation) -> ExtrapolationSummary:
    return ExtrapolationSummary(
        below=one.below,
        fitted=one.fitted,
        predicted=one.predicted,
        forecasts=tuple(
            ForecastSummary(
                form=f.form,
                rmse=f.rmse,
                bias=f.bias,
                law=None if f.fit is None else LawSummary(**_parameters(f.fit.law)),
            )
            for f in one.forecasts
        ),
    )


def _repeats(one: Repeats | None) -> RepeatsSummary | None:
    """`worth` is null where repeating costs nothing that shows (an infinite r)."""
    if one is None:
        return None
    plain = one.without
    return RepeatsSummary(
        law=LawSummary(**_parameters(one.law)),
        worth=None if math.isinf(one.worth) else one.worth,
        interval=one.interval,
        profile=one.profile,
        shares={str(e): float(share(float(e), one.worth)) for e in _EPOCHS},
        points=len(one.index),
        most_epochs=float(one.epochs.max()),
        scatter=one.scatter,
        gain=one.gain,
        without=WithoutTerm(law=LawSummary(**_parameters(plain.law)), scatter=plain.scatter),
        extrapolation=tuple(Repeated(**asdict(test)) for test in one.foretold),
    )


def _best(result: Study, best: Best) -> BestRun:
    return BestRun(**_run_of(result, best.index), runs=best.runs, short=best.short)


def _efficiency(one: SampleEfficiency) -> EfficiencySummary:
    return EfficiencySummary(
        model=one.model,
        reference=one.reference,
        factor=one.factor,
        interval=one.interval,
        errors=one.errors,
        factor_at_lowest_error=one.at_lowest,
        factor_at_highest_error=one.at_highest,
        reason=one.reason,
    )


def _allocation(one: Allocation) -> AllocationSummary:
    return AllocationSummary(
        budget=one.budget,
        error=one.error,
        error_interval=one.error_interval,
        how=one.how,
        model=one.model,
        size_factor=one.size_factor,
        images=one.images,
        images_interval=one.images_interval,
        cost_per_image=one.cost_per_image,
        candidates=tuple(
            CandidateSummary(model=c.model, error=c.error, share=c.share) for c in one.candidates
        ),
        images_exponent=one.trend.exponent if one.trend else None,
        images_exponent_interval=one.trend.exponent_interval if one.trend else None,
        reason=one.reason,
    )
