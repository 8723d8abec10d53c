"""Repeated data: the term, and how well tables of runs tell it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import least_squares

from vitctl.scaling.fit import USUAL_BOUNDS
from vitctl.scaling.laws import Law
from vitctl.scaling.points import Points
from vitctl.scaling.repeats import Repeats, data_frontier, repeats, share
from vitctl.scaling.solver import LEAST_SQUARES

TRUTH, WORTH = Law(a=0.6, b=0.35, c=0.1, d=0.4), 12.0


def fitted(points: Points, *, level: float = 0.95, below: tuple[float, ...] = ()) -> Repeats | None:
    return repeats(
        points,
        form="saturating",
        objective=LEAST_SQUARES,
        bounds=USUAL_BOUNDS,
        level=level,
        below=below,
    )


def table(seed: int = 0, *, noise: float = 0.0, worth: float = WORTH) -> Points:
    """Three training sets, runs of 0.3 to 300 epochs."""
    size, images = (x.ravel() for x in np.meshgrid([1e6, 1e7, 1e8], np.geomspace(3e7, 3e8, 9)))
    images = np.concatenate([images, images * 30])
    size = np.tile(size, 2)
    compute = images / 1e7
    error = TRUTH.error(compute * share(images / size, worth))
    error = error + noise * np.random.default_rng(seed).standard_normal(len(error))
    return Points(
        compute=compute,
        error=error,
        row=np.arange(1, len(images) + 1),
        data_size=size,
        images=images,
    )


@pytest.mark.parametrize("worth", [0.5, 4.0, 15.0, 200.0])
@pytest.mark.parametrize("epochs", [1.0, 1.5, 4.0, 90.0])
def test_each_repetition_is_worth_less_by_a_constant_factor(worth: float, epochs: float) -> None:
    """The integral of exp(-t / r) over the repeated epochs, by quadrature."""
    integral, _ = quad(lambda t: math.exp(-t / worth), 0, epochs - 1)
    assert epochs * float(share(epochs, worth)) == pytest.approx(1 + integral)


def test_the_ends_of_the_term() -> None:
    epochs = np.array([0.01, 0.5, 1.0, 2.0, 50.0])
    np.testing.assert_array_equal(share(epochs, math.inf), 1.0)
    np.testing.assert_allclose(share(epochs, 1e9), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(share(epochs[:3], 3.0), 1.0)
    assert 1e9 * float(share(1e9, 7.0)) == pytest.approx(8.0)


def test_a_table_without_noise_gives_the_term_back() -> None:
    outcome = fitted(table())
    assert outcome is not None
    assert outcome.worth == pytest.approx(WORTH, rel=1e-3)
    ours = (outcome.law.a, outcome.law.b, outcome.law.c, outcome.law.d)
    assert ours == pytest.approx((TRUTH.a, TRUTH.b, TRUTH.c, TRUTH.d), rel=2e-3)
    assert outcome.gain is not None
    assert outcome.gain > 100


def test_scipy_finds_nothing_lower(paper) -> None:
    """All five parameters by least_squares from random starts, on the paper's points."""
    points = paper()
    outcome = fitted(points)
    assert outcome is not None
    i = outcome.index
    x, y, epochs = points.compute[i], points.error[i], points.images[i] / points.data_size[i]

    def residual(z: np.ndarray) -> np.ndarray:
        counted = x * share(epochs, math.exp(z[4]))
        return np.exp(z[0]) * (counted + z[3]) ** -z[1] + z[2] - y

    rng = np.random.default_rng(0)
    costs = []
    for _ in range(12):
        initial = rng.uniform([-2, 0.1, 0, 0.01, 0], [1, 0.8, 0.15, 2, 7])
        bounds = ([-9, 0, 0, 0, -3], [9, 5, 1, x.max(), 12])
        done = least_squares(
            residual, initial, bounds=bounds, x_scale="jac", ftol=1e-14, xtol=1e-14
        )
        costs.append(done.cost)
    ours = 0.5 * float(np.sum((outcome.law.error(x * share(epochs, outcome.worth)) - y) ** 2))
    assert ours <= min(costs) * (1 + 1e-7)
    assert min(costs) <= ours * (1 + 1e-6)


def test_the_ends_of_the_profile_are_where_the_cost_says(paper) -> None:
    from scipy.stats import f

    points = paper()
    outcome = fitted(points, level=0.9)
    assert outcome is not None
    i = outcome.index
    x, y, epochs = points.compute[i], points.error[i], points.images[i] / points.data_size[i]

    def best(worth: float) -> float:
        counted = x * share(epochs, worth)

        def residual(z: np.ndarray) -> np.ndarray:
            return np.exp(z[0]) * (counted + z[3]) ** -z[1] + z[2] - y

        initial = [math.log(outcome.law.a), outcome.law.b, outcome.law.c, outcome.law.d]
        bounds = ([-9, 0, 0, 0], [9, 5, 1, x.max()])
        return least_squares(residual, initial, bounds=bounds, x_scale="jac", ftol=1e-14).cost

    freedom = len(i) - 5
    threshold = best(outcome.worth) * (1 + f.ppf(0.9, 1, freedom) / freedom)
    low, high = outcome.profile
    assert low is not None
    assert high is not None
    assert low < outcome.worth < high
    assert [best(low), best(high)] == pytest.approx([threshold] * 2, rel=1e-4)


def test_the_papers_runs_on_little_data_say_what_repeating_is_worth(paper) -> None:
    """Tens of epochs, and the dear runs are foretold better with the term than without it."""
    points = paper()
    outcome = fitted(points, below=(275.1, 2751.0))
    assert outcome is not None
    low, high = outcome.interval
    assert low is not None
    assert 10 < low < outcome.worth < high < 150
    assert outcome.gain is not None
    assert outcome.gain > 10
    for test in outcome.foretold:
        assert test.rmse is not None
        assert test.rmse_without is not None
        assert test.rmse < test.rmse_without


def test_where_repeating_costs_nothing_no_upper_end_is_claimed() -> None:
    outcome = fitted(table(3, noise=0.003, worth=math.inf))
    assert outcome is not None
    assert outcome.interval[1] is None
    assert outcome.interval[0] > 30


def test_what_is_needed() -> None:
    whole = table()
    assert fitted(replace(whole, images=None)) is None
    assert fitted(replace(whole, data_size=None)) is None
    assert fitted(replace(whole, data_size=1e12 * np.ones(len(whole)))) is None


def test_the_best_runs_on_each_training_set(paper) -> None:
    points = paper()
    index = data_frontier(points, np.ones(len(points), bool))
    for i in range(len(points)):
        same = points.data_size == points.data_size[i]
        cheaper = same & (points.compute <= points.compute[i]) & (np.arange(len(points)) != i)
        beaten = np.any(points.error[cheaper] <= points.error[i])
        assert (i in index) != beaten


def test_the_choice_of_lucky_runs_widens_the_interval() -> None:
    """Long runs on little data lie flat, and the best of them are lucky: r comes out too large, and
    the interval reaches down for it."""
    outcome = fitted(table(1, noise=0.004), level=0.9)
    assert outcome is not None
    assert outcome.profile[0] > WORTH
    assert outcome.interval[0] < outcome.profile[0]
    assert outcome.interval[1] >= outcome.profile[1]
    known = repeats(
        table(1, noise=0.004),
        form="saturating",
        objective=LEAST_SQUARES,
        bounds=USUAL_BOUNDS,
        level=0.9,
        noise=1e-5,
    )
    assert known is not None
    assert known.interval[0] > outcome.interval[0]  # without noise there is no luck


@pytest.mark.slow
def test_the_interval_holds_the_truth_more_often_than_the_profile() -> None:
    """100 tables at 90 %: the interval holds the truth in 81, the profile in 58 (measured
    2026-11-28). That is less than stated, as the guide says; this keeps it from getting worse."""
    held = 0
    for seed in range(100):
        outcome = fitted(table(seed, noise=0.004), level=0.9)
        assert outcome is not None
        low, high = outcome.interval
        held += (low is None or low <= WORTH) and (high is None or high >= WORTH)
    assert held >= 75
