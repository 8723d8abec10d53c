"""The law of losses: no ceiling at 1, and nothing else is different."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import curve_fit

from vitctl.errors import InputError, UsageError
from vitctl.scaling.config import BoundsConfig, ColumnsConfig, ScalingConfig
from vitctl.scaling.fit import Bounds, fit_law
from vitctl.scaling.laws import Law
from vitctl.scaling.points import Points, check
from vitctl.scaling.profile import profile_intervals
from vitctl.scaling.settings import loss_bounds, resolve_against, settings
from vitctl.scaling.solver import Objective
from vitctl.scaling.study import StudySettings, study

TRUTH = Law(a=20.0, b=0.35, c=2.1, d=3.0)
FREE = Bounds(c=(0.0, None))


def losses(seed: int = 0, *, n: int = 30, noise: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    compute = np.geomspace(1, 1e5, n)
    return compute, TRUTH.error(compute) + noise * rng.standard_normal(n)


def points(**more: object) -> Points:
    compute, loss = losses()
    return Points(compute, loss, np.arange(1, 31), measure="loss", **more)


@pytest.mark.parametrize(
    "objective", [Objective(), Objective(space="log"), Objective(huber=0.05)], ids=str
)
def test_it_is_scipys(objective: Objective) -> None:
    """The floor lies above 1, where that of an error rate can't be."""
    compute, loss = losses()
    law = fit_law(compute, loss, objective=objective, bounds=FREE).law
    assert law.c > 1

    def model(x: np.ndarray, log_a: float, b: float, c: float, d: float) -> np.ndarray:
        y = np.exp(log_a) * (x + d) ** -b + c
        return np.log(y) if objective.space == "log" else y

    theirs, _ = curve_fit(
        model,
        compute,
        np.log(loss) if objective.space == "log" else loss,
        p0=[np.log(15), 0.4, 2.0, 2.0],
        bounds=([-10, 0, 0, 0], [10, 5, 10, 1e5]),
        loss="linear" if objective.huber is None else "huber",
        f_scale=objective.huber or 1.0,
        ftol=1e-14,
        xtol=1e-14,
        gtol=1e-14,
    )
    ours = (np.log(law.a), law.b, law.c, law.d)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_losses_of_another_size_are_the_same_law() -> None:
    """In nats or in bits, or of a sum over a million labels: a and c scale, b and d stay."""
    compute, loss = losses()
    plain = fit_law(compute, loss, bounds=FREE).law
    for factor in (1 / np.log(2), 1e6, 1e-3):
        law = fit_law(compute, factor * loss, bounds=FREE).law
        result = (law.a / factor, law.b, law.c / factor, law.d)
        np.testing.assert_allclose(result, (plain.a, plain.b, plain.c, plain.d), rtol=1e-5)


def test_intervals_hold_the_truth_at_their_rate() -> None:
    """24 curves at 90 %: fewer than 17 happens once in 200 trials, 24 of 24 for all of the four
    (of which b and c go together, and so do a and d) once in 100."""
    held = dict.fromkeys("abcd", 0)
    for seed in range(24):
        compute, loss = losses(seed, noise=0.02)
        fit = fit_law(compute, loss, bounds=FREE)
        for name, (low, high) in profile_intervals(fit, compute, loss, level=0.9).items():
            truth = getattr(TRUTH, name)
            held[name] += (low is None or low <= truth) and (high is None or truth <= high)
    assert all(count >= 17 for count in held.values()), held
    assert sum(held.values()) < 4 * 24, held


def test_a_study_of_losses() -> None:
    outcome = study(points(), StudySettings(bounds=FREE, draws=100, budgets=(1e6,)))
    assert outcome.law.c == pytest.approx(2.1, abs=0.05)
    low, high = outcome.intervals["c"]
    assert 1 < low < 2.1 < high
    (answer,) = outcome.allocations
    assert answer.error == pytest.approx(float(TRUTH.error(1e6)), abs=0.05)


def test_an_error_rate_keeps_its_ceiling() -> None:
    with pytest.raises(InputError, match=r"the error is outside 0\.\.1 in row 1 and 29 more"):
        check(replace(points(), measure="error"))
    negative = points()
    negative.error[3] = -0.1
    with pytest.raises(InputError, match="the loss is negative in row 4"):
        check(negative)


def test_what_is_said_of_losses_says_loss() -> None:
    flat = points()
    flat.error[:] = 2.0
    with pytest.raises(InputError, match="every run has loss 2"):
        check(flat)
    rising = replace(points(), error=points().error[::-1].copy())
    with pytest.raises(InputError, match="the loss grows with compute"):
        check(rising)


def test_bounds_of_losses_and_of_errors() -> None:
    """An error rate's floor is at most 1; a loss's is bounded where that was asked for only."""
    table = points()
    assert loss_bounds(BoundsConfig()).c_max is None
    assert loss_bounds(BoundsConfig(c_max=1.0)).c_max == 1.0
    cfg = ScalingConfig.model_validate({"columns": {"unit": "none"}})
    law = cfg.law.model_copy(update={"bounds": loss_bounds(cfg.law.bounds)})
    assert settings(cfg.model_copy(update={"law": law}), table).bounds.c == (0.0, None)
    rate = replace(table, measure="error")
    assert settings(ScalingConfig(), rate).bounds.c == (0.0, 1.0)
    for chosen in ({"law": {"bounds": {"c_max": 12}}}, {"noise": 3.0}):
        with pytest.raises(UsageError, match="errors are fractions of at most 1"):
            settings(ScalingConfig.model_validate(chosen), rate)
        settings(ScalingConfig.model_validate(chosen), table)


def test_a_loss_is_compared_with_no_published_law() -> None:
    columns = ColumnsConfig(compute="tpuv3_core_days", error="inet10", unit="none")
    assert resolve_against(ScalingConfig(columns=columns)) == "none"
    with pytest.raises(UsageError, match="is a law of an error rate"):
        resolve_against(ScalingConfig(columns=columns, against="imagenet-10shot"))
    with pytest.raises(ValueError, match="a loss goes with error"):
        ColumnsConfig(accuracy="inet10", unit="none")
