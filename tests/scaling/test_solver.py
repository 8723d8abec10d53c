"""The batched solver against scipy's, problem by problem."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares

from vitctl.scaling.laws import Law
from vitctl.scaling.solver import Objective, solve

LOWER = np.array([-600.0, 0.0, 0.0, 0.0])
UPPER = np.array([600.0, 5.0, 1.0, 1e5])
START = np.array([[np.log(0.5), 0.3, 0.05, 0.5]])


def noisy(seed: int, n: int = 24) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    compute = np.exp(rng.uniform(-1, 10, n))
    error = Law(a=0.6, b=0.35, c=0.12, d=0.5).error(compute)
    return compute, error * np.exp(0.03 * rng.standard_normal(n))


def scipy_cost(compute: np.ndarray, error: np.ndarray, objective: Objective) -> float:
    def residual(x: np.ndarray) -> np.ndarray:
        law = np.exp(x[0]) * (compute + x[3]) ** -x[1] + x[2]
        return np.log(law / error) if objective.space == "log" else law - error

    options = {} if objective.huber is None else {"loss": "huber", "f_scale": objective.huber}
    values = [
        least_squares(
            residual,
            [np.log(a), b, c, d],
            bounds=([-20, 0, 0, 0], [20, 5, 1, 1e5]),
            x_scale=[1, 0.3, 0.1, 0.5],
            xtol=1e-14,
            ftol=1e-14,
            gtol=1e-14,
            max_nfev=2000,
            **options,
        )
        for a, b, c, d in ((0.5, 0.3, 0.05, 0.5), (1.0, 0.6, 0.1, 1.0), (0.4, 0.15, 0.0, 0.01))
    ]
    return min(one.cost for one in values)


@pytest.mark.parametrize(
    "objective",
    [
        Objective(),
        Objective(space="log"),
        Objective(huber=0.005),
        Objective(space="log", huber=0.02),
    ],
)
def test_costs_are_scipys(objective: Objective) -> None:
    for seed in range(6):
        compute, error = noisy(seed)
        ours = solve(
            compute,
            error,
            weight=np.ones(len(compute)),
            initial=START,
            lower=LOWER,
            upper=UPPER,
            objective=objective,
        )
        theirs = scipy_cost(compute, error, objective)
        # Neither may end above the other by more than scipy's own tolerance on a flat valley.
        assert ours.converged.all()
        assert ours.cost[0] <= theirs * (1 + 1e-9)
        assert theirs <= ours.cost[0] * (1 + 1e-3)


def test_a_batch_is_its_problems_one_by_one() -> None:
    problems = [noisy(seed) for seed in range(5)]
    batch = solve(
        np.stack([compute for compute, _ in problems]),
        np.stack([error for _, error in problems]),
        weight=np.ones((5, 24)),
        initial=np.tile(START, (5, 1)),
        lower=LOWER,
        upper=UPPER,
        objective=Objective(),
    )
    for i, (compute, error) in enumerate(problems):
        alone = solve(
            compute,
            error,
            weight=np.ones(24),
            initial=START,
            lower=LOWER,
            upper=UPPER,
            objective=Objective(),
        )
        np.testing.assert_allclose(batch.theta[i], alone.theta[0], rtol=1e-6, atol=1e-9)


def test_a_weight_of_zero_leaves_a_point_out() -> None:
    compute, error = noisy(3)
    weight = np.ones(24)
    weight[[2, 11]] = 0
    spoiled = error.copy()
    spoiled[[2, 11]] = 0.99
    common = {"initial": START, "lower": LOWER, "upper": UPPER, "objective": Objective()}
    masked = solve(compute, spoiled, weight=weight, **common)
    counts = weight > 0
    without = solve(compute[counts], error[counts], weight=np.ones(22), **common)
    np.testing.assert_allclose(masked.theta, without.theta, rtol=1e-6)


def test_equal_bounds_hold_a_parameter() -> None:
    compute, error = noisy(1)
    lower, upper = LOWER.copy(), UPPER.copy()
    lower[1] = upper[1] = 0.5
    result = solve(
        compute,
        error,
        weight=np.ones(24),
        initial=START,
        lower=lower,
        upper=upper,
        objective=Objective(),
    )
    assert result.theta[0, 1] == 0.5


def test_units_of_compute_do_not_matter() -> None:
    """C in FLOPs instead of days scales d and a, and nothing else."""
    compute, error = noisy(2)
    scale = 8.64e20
    results = []
    for unit in (1.0, scale):
        initial = START.copy()
        initial[0, 0] += initial[0, 1] * np.log(unit)
        initial[0, 3] *= unit
        results.append(
            solve(
                compute * unit,
                error,
                weight=np.ones(24),
                initial=initial,
                lower=LOWER,
                upper=UPPER * np.array([1, 1, 1, unit]),
                objective=Objective(),
            )
        )
    days, flops = results
    assert flops.cost[0] == pytest.approx(days.cost[0], rel=1e-9)
    np.testing.assert_allclose(flops.theta[0, 1:3], days.theta[0, 1:3], rtol=1e-4)
    assert flops.theta[0, 3] == pytest.approx(days.theta[0, 3] * scale, rel=1e-3)
