"""A study as plain values: what `--json` prints and what fit.json holds."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from vitctl.scaling.bottlenecks import Best
from vitctl.scaling.compare import Extrapolation, Variant, scores
from vitctl.scaling.laws import PARAMETERS, Law
from vitctl.scaling.published import DECIMALS, PUBLISHED
from vitctl.scaling.repeats import Repeats, share
from vitctl.scaling.study import OFF_LAW, Study, cautions

_EPOCHS = (2, 4, 10, 40, 100)


def summary(result: Study, *, unit: str, against: str | None) -> dict[str, Any]:
    """The answer: law, intervals, frontier, residuals, and all that follows from them.

    Errors are fractions, or losses as they are; residuals are measured minus law. `unit` names the
    unit of compute, `against` a published law to measure residuals from as well.
    """
    fit, drawn = result.fit, result.drawn
    rows = residuals(result, against=PUBLISHED[against].law if against else None)
    return {
        **{name: getattr(fit.law, name) for name in PARAMETERS},
        "form": fit.form,
        "measure": result.points.measure,
        "compute_unit": unit,
        "intervals": {name: _pair(result.intervals.get(name)) for name in PARAMETERS},
        "interval_level": result.settings.level,
        "interval_methods": {
            "profile": {name: _pair(pair) for name, pair in result.profile.items()},
            "bootstrap": {
                name: _pair(drawn.interval(name, level=result.settings.level)) for name in fit.free
            },
        },
        "selection": _selection(result),
        "bootstrap": {
            "resampling": drawn.resampling,
            "fitted": len(drawn.theta),
            "failed": drawn.failed,
        },
        "correlation": fit.correlation,
        "scatter": fit.scatter,
        "points": len(result.points),
        "starts": {"tried": fit.starts, "at_minimum": fit.starts_at_minimum},
        "at_bound": list(fit.at_bound),
        "frontier": [rows[i] for i in result.frontier],
        "residuals": rows,
        "off_law": [rows[i] for i in result.frontier if rows[i]["off_law"]],
        "largest_run": largest_run(result, against=against),
        "variants": [_variant(variant) for variant in result.variants],
        "extrapolation": [_extrapolation(one) for one in result.extrapolations],
        "held_out": [
            {"form": one.form, "rmse": one.rmse, "predicted": one.predicted}
            for one in scores(result.extrapolations)
        ],
        "repeats": _repeats(result.repeats),
        "bottlenecks": {
            "by_model": [_best(result, best) for best in result.by_model],
            "by_data": [_best(result, best) for best in result.by_data],
            "by_model_and_data": [_best(result, best) for best in result.by_model_and_data],
        },
        "sample_efficiency": [
            {
                "model": one.model,
                "reference": one.reference,
                "factor": one.factor,
                "interval": _pair(one.interval),
                "errors": _pair(one.errors),
                "factor_at_lowest_error": one.at_lowest,
                "factor_at_highest_error": one.at_highest,
                "reason": one.reason,
            }
            for one in result.efficiencies
        ],
        "allocation": [
            {
                "budget": one.budget,
                "error": one.error,
                "error_interval": _pair(one.error_interval),
                "how": one.how,
                "model": one.model,
                "size_factor": one.size_factor,
                "images": one.images,
                "images_interval": _pair(one.images_interval),
                "cost_per_image": one.cost_per_image,
                "candidates": [
                    {"model": c.model, "error": c.error, "share": c.share} for c in one.candidates
                ],
                "images_exponent": one.trend.exponent if one.trend else None,
                "images_exponent_interval": _pair(one.trend.exponent_interval)
                if one.trend
                else None,
                "reason": one.reason,
            }
            for one in result.allocations
        ],
        "cautions": cautions(result),
    }


def band(result: Study) -> dict[str, list[float]]:
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
    return {name: [float(value) for value in column] for name, column in columns.items()}


def residuals(result: Study, *, against: Law | None) -> list[dict[str, Any]]:
    """One object a run, in the table's order.

    `off` is the residual in standard deviations of the frontier's scatter. A run is `off_law`
    where that passes two, on the frontier or not; runs above the frontier mostly are.
    """
    points, on = result.points, result.on_frontier
    predicted = result.law.error(points.compute)
    printed = None if against is None else against.error(points.compute)
    rows = []
    for i in range(len(points)):
        row = {
            **_run_of(result, i),
            "predicted": float(predicted[i]),
            "residual": float(result.residual[i]),
            "off": float(result.off[i]),
            "on_frontier": bool(on[i]),
            "off_law": bool(abs(result.off[i]) > OFF_LAW),
        }
        if printed is not None:
            row["residual_against"] = float(points.error[i] - printed[i])
        rows.append(row)
    return rows


def largest_run(result: Study, *, against: str | None) -> dict[str, Any]:
    """The run of most compute (the best of them): how it stands to the law, and to a published
    one, whose printed coefficients are rounded; `rounding` is what that alone can move."""
    points = result.points
    top = points.compute == points.compute.max()
    i = int(min((j for j in range(len(points)) if top[j]), key=lambda j: points.error[j]))
    out: dict[str, Any] = {
        **_run_of(result, i),
        "predicted": float(result.law.error(points.compute[i])),
        "predicted_without": None,
        "residual": float(result.residual[i]),
        "against": None,
    }
    if result.without_largest is not None and i == result.frontier[-1]:
        out["predicted_without"] = float(result.without_largest.error(points.compute[i]))
    if against is not None:
        law = PUBLISHED[against].law
        compute = float(points.compute[i])
        predicted = float(law.error(compute))
        out["against"] = {
            "name": against,
            "title": PUBLISHED[against].title,
            **{name: getattr(law, name) for name in PARAMETERS},
            "decimals": DECIMALS,
            "predicted": predicted,
            "residual": float(points.error[i]) - predicted,
            "rounding": law.rounding(compute, decimals=DECIMALS),
        }
    return out


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


def _selection(result: Study) -> dict[str, Any] | None:
    if result.selection is None:
        return None
    law = {name: getattr(result.selection.law, name) for name in PARAMETERS}
    return {"law": law, "noise": result.selection.noise, "crowd": result.selection.crowd}


def _variant(variant: Variant) -> dict[str, Any]:
    fit = variant.fit
    law: dict[str, Any] = {n: getattr(fit.law, n) if fit else None for n in PARAMETERS}
    return {
        "form": variant.form,
        **law,
        "scatter": fit.scatter if fit else None,
        "aic": fit.aic if fit else None,
        "aicc": fit.aicc if fit else None,
        "delta_aicc": variant.delta_aicc,
        "weight": variant.weight,
    }


def _extrapolation(one: Extrapolation) -> dict[str, Any]:
    return {
        "below": one.below,
        "fitted": one.fitted,
        "predicted": one.predicted,
        "forecasts": [{"form": f.form, "rmse": f.rmse, "bias": f.bias} for f in one.forecasts],
    }


def _repeats(one: Repeats | None) -> dict[str, Any] | None:
    """`worth` is null where repeating costs nothing that shows (an infinite r)."""
    if one is None:
        return None
    plain = one.without
    return {
        "law": {name: getattr(one.law, name) for name in PARAMETERS},
        "worth": None if math.isinf(one.worth) else one.worth,
        "interval": _pair(one.interval),
        "profile": _pair(one.profile),
        "shares": {str(e): float(share(float(e), one.worth)) for e in _EPOCHS},
        "points": len(one.index),
        "most_epochs": float(one.epochs.max()),
        "scatter": one.scatter,
        "gain": one.gain,
        "without": {
            "law": {name: getattr(plain.law, name) for name in PARAMETERS},
            "scatter": plain.scatter,
        },
        "extrapolation": [asdict(test) for test in one.foretold],
    }


def _best(result: Study, best: Best) -> dict[str, Any]:
    return {**_run_of(result, best.index), "runs": best.runs, "short": best.short}


def _pair(pair: tuple[float | None, float | None] | None) -> list[float | None] | None:
    return None if pair is None else list(pair)
