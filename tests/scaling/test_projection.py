"""The search over (b, d) against scipy's over all four, from many starts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares, lsq_linear

from vitctl.scaling.fit import fit_law
from vitctl.scaling.frontier import frontier
from vitctl.scaling.laws import Law
from vitctl.scaling.names import FREE, Form
from vitctl.scaling.projection import search
from vitctl.scaling.solver import LEAST_SQUARES, cost

LOWER, UPPER = np.array([-600.0, 0.0, 0.0, 0.0]), np.array([600.0, 5.0, 1.0, 1e4])


def scipys(compute: np.ndarray, error: np.ndarray, form: Form, *, starts: int = 40) -> float:
    """The lowest cost of any of many searches from random starts, in log C less its mean."""
    rng = np.random.default_rng(0)
    x = compute / np.exp(np.mean(np.log(compute)))
    free = np.array([name in FREE[form] for name in "abcd"])
    low, high = np.array([-20.0, 0, 0, 0]), np.array([20.0, 5, 1, x.max()])

    def residual(z: np.ndarray) -> np.ndarray:
        theta = np.zeros(4)
        theta[free] = z
        return np.exp(theta[0]) * (x + theta[3]) ** -theta[1] + theta[2] - error

    def derivatives(z: np.ndarray) -> np.ndarray:
        theta = np.zeros(4)
        theta[free] = z
        excess = np.exp(theta[0]) * (x + theta[3]) ** -theta[1]
        by_d = -theta[1] * excess / (x + theta[3])
        columns = [excess, -excess * np.log(x + theta[3]), np.ones_like(x), by_d]
        return np.stack(columns, axis=1)[:, free]

    values = []
    for _ in range(starts):
        guess = np.array([rng.uniform(-3, 0), rng.uniform(0.05, 1.5), rng.uniform(0, 0.9), 0.0])
        guess[2] *= error.min()
        guess[3] = x.min() * 10 ** rng.uniform(-2, 1)
        tight = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15, "max_nfev": 400}
        bounds = (low[free], high[free])
        values.append(
            least_squares(residual, guess[free], derivatives, bounds=bounds, x_scale="jac", **tight)
        )
    return min(one.cost for one in values)


@pytest.mark.parametrize("form", FREE)
@pytest.mark.parametrize("metric", ["inet10", "pets10"])
def test_no_start_of_scipys_ends_lower(paper, metric: str, form: Form) -> None:
    runs = paper(metric)
    on = frontier(runs.compute, runs.error)
    x, y = runs.compute[on], runs.error[on]
    fit = fit_law(x, y, form=form)
    theirs = scipys(x, y, form, starts=6)
    assert fit.cost <= theirs * (1 + 1e-9)
    assert theirs <= fit.cost * (1 + 1e-6)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    b=st.floats(0.1, 1.5),
    c=st.floats(0.0, 0.3),
    noise=st.floats(0.001, 0.02),
)
def test_of_random_tables_neither(seed: int, b: float, c: float, noise: float) -> None:
    rng = np.random.default_rng(seed)
    compute = 1e19 * np.exp(rng.uniform(0, 12, 20))
    middle = np.exp(np.mean(np.log(compute)))
    error = Law(a=0.2, b=b, c=c, d=0.01).error(compute / middle) + noise * rng.standard_normal(20)
    error = np.clip(error, 1e-3, 1.0)
    assert fit_law(compute, error).cost <= scipys(compute, error, "saturating", starts=8) * (
        1 + 1e-9
    )


def test_amplitude_and_floor_are_the_bounded_linear_least_squares() -> None:
    """With b and d held, what is left is scipy's lsq_linear, on whichever bounds."""
    rng = np.random.default_rng(3)
    compute = np.exp(rng.uniform(0, 8, (200, 12)))
    error = rng.uniform(0.0, 1.0, (200, 12))
    b, d = rng.uniform(0, 3, 200), np.exp(rng.uniform(-3, 3, 200))
    middle = np.log(compute).mean(1)
    low_c, low_a = rng.uniform(0, 0.5, (2, 200))
    high_c, high_a = low_c + rng.uniform(0, 0.5, 200), low_a + rng.uniform(0, 0.5, 200)
    # Bounds of a at C + d = 1, so that those of the amplitude at the middle are low_a and high_a.
    lower = np.stack([np.log(low_a) + b * middle, b, low_c, d], 1)
    upper = np.stack([np.log(high_a) + b * middle, b, high_c, d], 1)
    theta, converged = search(compute, error, np.ones_like(error), lower, lower, upper)
    assert converged.all()
    ours = cost(theta, compute, error, np.ones_like(error), objective=LEAST_SQUARES)
    on_bounds = 0
    for i in range(200):
        basis = np.exp(-b[i] * (np.log(compute[i] + d[i]) - middle[i]))
        matrix = np.stack([basis, np.ones(12)], 1)
        bounds = ([low_a[i], low_c[i]], [high_a[i], high_c[i]])
        theirs = lsq_linear(matrix, error[i], bounds=bounds, method="bvls", tol=1e-14)
        on_bounds += int(np.any(theirs.active_mask != 0))
        assert ours[i] == pytest.approx(theirs.cost, rel=1e-6)
    assert 50 < on_bounds < 200


def test_the_start_does_not_matter_where_there_is_one_minimum(paper) -> None:
    runs = paper()
    on = frontier(runs.compute, runs.error)
    x, y = runs.compute[on], runs.error[on]
    rng = np.random.default_rng(0)
    initial = np.zeros((60, 4))
    initial[:, 1], initial[:, 3] = rng.uniform(0, 5, 60), 10 ** rng.uniform(-4, 4, 60)
    tables = [np.tile(values, (60, 1)) for values in (x, y, np.ones_like(y), initial, LOWER, UPPER)]
    theta, _ = search(*tables[:3], initial, *tables[4:])
    values = cost(theta, x, y, np.ones_like(y), objective=LEAST_SQUARES)
    assert np.sum(values <= values.min() * (1 + 1e-9)) >= 50
