from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from vitctl.scaling.fit import fit_law
from vitctl.scaling.laws import Law
from vitctl.scaling.profile import profile_intervals
from vitctl.scaling.solver import Objective


def test_on_a_straight_line_it_is_the_t_interval() -> None:
    """The power form in log error is linear regression, where the profile's interval and the
    textbook's are the same."""
    rng = np.random.default_rng(4)
    compute = np.exp(rng.uniform(0, 8, 14))
    error = 0.7 * compute**-0.2 * np.exp(0.05 * rng.standard_normal(14))
    fit = fit_law(compute, error, form="power", objective=Objective(space="log"))
    line = stats.linregress(np.log(compute), np.log(error))
    t = stats.t.ppf(0.95, 12)
    intervals = profile_intervals(fit, compute, error, level=0.9)
    expected_b = (-line.slope - t * line.stderr, -line.slope + t * line.stderr)
    expected_log_a = (
        line.intercept - t * line.intercept_stderr,
        line.intercept + t * line.intercept_stderr,
    )
    assert intervals["b"] == pytest.approx(expected_b, rel=1e-4)
    assert np.log(intervals["a"]) == pytest.approx(expected_log_a, rel=1e-3)


def test_it_holds_the_estimate_and_grows_with_the_level() -> None:
    rng = np.random.default_rng(1)
    compute = np.geomspace(0.3, 1e4, 25)
    error = Law(a=0.6, b=0.3, c=0.12, d=0.5).error(compute) + 0.005 * rng.standard_normal(25)
    fit = fit_law(compute, error)
    narrow = profile_intervals(fit, compute, error, level=0.5)
    wide = profile_intervals(fit, compute, error, level=0.95)
    for name in "abcd":
        assert wide[name][0] < narrow[name][0] < getattr(fit.law, name)
        assert getattr(fit.law, name) < narrow[name][1] < wide[name][1]


def test_what_the_data_do_not_bound_stays_open() -> None:
    """Points on a straight log-log line, far from both ends: d is bounded below by zero only in
    the sense that zero fits, and the floor reaches zero."""
    rng = np.random.default_rng(2)
    compute = np.geomspace(100, 1000, 8)
    error = 0.9 * compute**-0.2 + 0.01 * rng.standard_normal(8)
    fit = fit_law(compute, error)
    intervals = profile_intervals(fit, compute, error)
    assert intervals["c"][0] == 0.0
    assert intervals["d"][0] == 0.0
    assert intervals["b"][1] is None  # any exponent goes, with a shift to match
    assert intervals["a"][1] is None
