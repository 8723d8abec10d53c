from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vitctl.probe.intervals import binomial, over_draws

accuracies = st.lists(st.floats(0.3, 0.7), min_size=2, max_size=30)


@given(accuracies, st.sampled_from([0.9, 0.95]))
def test_the_mean_has_students_interval(values, confidence):
    intervals = over_draws(values, confidence=confidence)
    assert intervals.mean == pytest.approx(statistics.fmean(values), abs=1e-12)
    assert intervals.std == pytest.approx(statistics.stdev(values), abs=1e-12)
    error = stats.sem(values)
    if error > 1e-9:
        low, high = stats.t.interval(confidence, len(values) - 1, loc=intervals.mean, scale=error)
        assert intervals.interval == pytest.approx((max(0, low), min(1, high)), abs=1e-9)


def test_one_draw_has_no_spread():
    intervals = over_draws([0.25])
    assert (intervals.mean, intervals.std, intervals.interval) == (0.25, None, None)


def test_equal_draws_have_no_width():
    assert over_draws([0.5, 0.5, 0.5]).interval == (0.5, 0.5)


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    samples = rng.normal(0.6, 0.05, size=(2000, 5))
    covered = [low <= 0.6 <= high for low, high in (over_draws(s).interval for s in samples)]
    # 2000 trials at 95 %: the standard error is 0.5 %.
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_binomial_interval_is_wilsons(counts):
    correct, examples = counts
    expected = stats.binomtest(correct, examples).proportion_ci(0.95, method="wilson")
    intervals = binomial(correct / examples, examples=examples)
    assert intervals == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= intervals[0] <= correct / examples <= intervals[1] <= 1


@pytest.mark.parametrize(("accuracy", "examples"), [(1.1, 10), (-0.1, 10), (0.5, 0)])
def test_what_is_no_accuracy_is_refused(accuracy, examples):
    with pytest.raises(ValueError, match="accuracy of examples"):
        binomial(accuracy, examples=examples)


def test_no_draws_are_refused():
    with pytest.raises(ValueError, match="at least one draw"):
        over_draws([])
