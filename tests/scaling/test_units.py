"""The unit of compute changes d and a, in closed form, and nothing else of a whole study."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from vitctl.scaling import report
from vitctl.scaling.config import ScalingConfig
from vitctl.scaling.fit import Bounds, fit_law
from vitctl.scaling.frontier import frontier
from vitctl.scaling.laws import Law
from vitctl.scaling.names import FrontierRule
from vitctl.scaling.points import Points
from vitctl.scaling.profile import profile_intervals
from vitctl.scaling.settings import settings
from vitctl.scaling.solver import Objective
from vitctl.scaling.study import StudySettings, study

BUDGETS = (5e3, 5e4)
SMALL: dict[str, Any] = {"draws": 100, "pairs": (("Ti/16", "L/16"),)}
# What is in the unit of compute, by the last part of its name.
IN_UNIT = {"compute", "below", "budget", "cost_per_image"}


def summary(points: Points, unit: float, **chosen: Any) -> dict[str, Any]:
    scaled = replace(points, compute=points.compute * unit)
    request = StudySettings(budgets=tuple(budget * unit for budget in BUDGETS), **SMALL, **chosen)
    outcome = study(scaled, request)
    return {
        **report.summary(outcome, unit="", against=None).as_json(),
        "band": report.band(outcome).as_json(),
    }


def unscaled(value: Any, unit: float, name: str = "") -> Any:
    """The same summary in the unit it was made from, without what has no closed form: intervals of
    a, which is the excess error at one unit of compute, and correlations with it."""
    if isinstance(value, dict):
        out = {key: unscaled(one, unit, key) for key, one in value.items()}
        if {"a", "b", "d"} <= value.keys() and isinstance(value["a"], float):  # a law
            out |= {"a": value["a"] * unit ** -value["b"], "d": value["d"] / unit}
        elif isinstance(value.get("a"), dict):  # correlations
            return {p: {q: r for q, r in value[p].items() if q != "a"} for p in value if p != "a"}
        elif isinstance(value.get("a"), list):  # intervals
            out.pop("a")
            if out.get("d") is not None:
                out["d"] = [None if end is None else end / unit for end in value["d"]]
        return out
    if isinstance(value, list):
        return [unscaled(one, unit, name) for one in value]
    return value / unit if name in IN_UNIT and isinstance(value, float) else value


def same(one: Any, other: Any, path: str = "") -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for key in one:
            same(one[key], other[key], f"{path}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), path
        for i, pair in enumerate(zip(one, other, strict=True)):
            same(*pair, f"{path}[{i}]")
    elif isinstance(one, float) and isinstance(other, float):
        # Profiles are cut to 1e-5 of their half-width, and a law found to 1e-13 of its cost is
        # known to the root of that along a valley.
        assert one == pytest.approx(other, rel=2e-4, abs=2e-6), path
    else:
        assert one == other, path


@pytest.mark.parametrize(
    ("power", "chosen"),
    [
        (-24, {}),
        # Twice as dear as the two others; what is different in it has tests of its own below.
        pytest.param(
            24,
            {"objective": Objective(huber=0.004), "rule": "hull"},
            marks=pytest.mark.slow,
        ),
        (21, {"objective": Objective(space="log"), "resampling": "residuals", "form": "floor"}),
    ],
)
def test_a_study_in_another_unit(paper, power: int, chosen: dict[str, Any]) -> None:
    points, unit = paper(), 10.0**power
    plain = summary(points, 1.0, **chosen)
    scaled = summary(points, unit, **chosen)
    one, other = unscaled(plain, 1.0), unscaled(scaled, unit)
    for result in (one, other):
        # Sentences hold rounded numbers; those that hold one in a unit differ.
        result["cautions"] = [said for said in result["cautions"] if not said.startswith("a ")]
    same(other, one)


@pytest.mark.parametrize(
    "objective",
    [Objective(huber=0.004), Objective(space="log"), Objective(space="log", huber=0.01)],
    ids=str,
)
def test_a_fit_by_another_objective_has_no_unit(paper, objective: Objective) -> None:
    runs, unit = paper(), 1e24
    on = frontier(runs.compute, runs.error, rule="hull")
    x, y = runs.compute[on], runs.error[on]
    plain, scaled = (fit_law(x * u, y, objective=objective).law for u in (1.0, unit))
    result = (scaled.a * unit**-scaled.b, scaled.b, scaled.c, scaled.d / unit)
    assert result == pytest.approx((plain.a, plain.b, plain.c, plain.d), rel=2e-4, abs=2e-6)


@pytest.mark.parametrize("power", range(-24, 25, 8))
def test_the_interval_of_the_shift_is_not_lost(paper, power: int) -> None:
    """With compute in FLOPs d is 1e20 and its interval as narrow, in units of itself."""
    runs, unit = paper(), 10.0**power
    on = frontier(runs.compute, runs.error)
    x, y = runs.compute[on], runs.error[on]
    days = profile_intervals(fit_law(x, y), x, y)
    fit = fit_law(x * unit, y)
    intervals = profile_intervals(fit, x * unit, y)
    assert np.divide(intervals["d"], unit) == pytest.approx(days["d"], rel=1e-4)
    for name in "bc":
        assert intervals[name] == pytest.approx(days[name], rel=1e-4)
    low, high = intervals["a"]
    assert low < fit.law.a < high


def test_the_interval_of_a_in_flops_is_scipys(paper) -> None:
    """The end of the interval is where the best cost at that a passes the threshold; the best cost
    by another way: simplex searches over (b, log d) with c in closed form."""
    runs, unit = paper(), 8.64e19
    on = frontier(runs.compute, runs.error)
    x, y = runs.compute[on] * unit, runs.error[on]
    fit = fit_law(x, y)
    intervals = profile_intervals(fit, x, y, level=0.9)

    def best(log_a: float) -> float:
        def cost(z: np.ndarray) -> float:
            excess = np.exp(log_a - z[0] * np.log(x + np.exp(z[1])))
            c = np.clip(np.mean(y - excess), 0, 1)
            return float(0.5 * np.sum((excess + c - y) ** 2))

        b = fit.law.b + (log_a - np.log(fit.law.a)) / np.log(unit)
        searches = [
            minimize(
                cost,
                [b * factor, np.log(fit.law.d)],
                method="Nelder-Mead",
                options={"xatol": 1e-10, "fatol": 1e-18, "maxiter": 4000, "maxfev": 4000},
            )
            for factor in (0.98, 1.0, 1.02)
        ]
        return min(one.fun for one in searches)

    costs = [best(np.log(end)) for end in intervals["a"]]
    from scipy.stats import f

    freedom = len(x) - 4
    assert costs == pytest.approx([fit.cost * (1 + f.ppf(0.9, 1, freedom) / freedom)] * 2, rel=1e-4)


def test_bounds_and_budgets_are_in_the_users_unit(paper) -> None:
    points = paper()
    on = frontier(points.compute, points.error)
    x, y = points.compute[on] * 1e20, points.error[on]
    assert fit_law(x, y, bounds=Bounds(d=(0.0, 3e19))).law.d == pytest.approx(3e19)
    bounded = fit_law(x, y, bounds=Bounds(a=(1e5, 1e6)))
    assert bounded.law.a == pytest.approx(1e6)
    assert "a" in bounded.at_bound
    cfg = ScalingConfig.model_validate({"law": {"bounds": {"d_min": 6e19}}})
    request = settings(cfg, points)
    assert fit_law(x, y, bounds=request.bounds).law.d == pytest.approx(6e19)


@pytest.mark.parametrize("rule", ["running-minimum", "hull", "all"])
def test_a_frontier_has_no_unit(paper, rule: FrontierRule) -> None:
    runs = paper()
    plain = frontier(runs.compute, runs.error, rule=rule)
    for power in range(-24, 25, 3):
        again = frontier(runs.compute * 10.0**power, runs.error, rule=rule)
        np.testing.assert_array_equal(again, plain)


def test_a_law_in_another_unit_is_the_same_law() -> None:
    law = Law(a=0.63, b=0.32, c=0.12, d=0.52)
    again = Law.from_theta(law.theta(), unit=1.0)
    assert (again.a, again.d) == pytest.approx((law.a, law.d))
    scaled = Law.from_theta(law.theta(), unit=1e20)
    np.testing.assert_allclose(scaled.error(np.array([1e20, 3e23])), law.error(np.array([1, 3e3])))
