from __future__ import annotations

import numpy as np
import pytest

from vitctl.scaling.fit import fit_law
from vitctl.scaling.frontier import frontier
from vitctl.scaling.laws import Law
from vitctl.scaling.profile import profile_intervals
from vitctl.scaling.selection import selection, widened

TRUTH = Law(a=0.63, b=0.32, c=0.12, d=0.52)


def lucky(seed: int, *, n: int = 80, noise: float = 0.005):
    rng = np.random.default_rng(seed)
    compute = np.geomspace(1.6, 3e4, n)
    error = TRUTH.error(compute) + noise * rng.standard_normal(n)
    on = frontier(compute, error)
    return compute, error, fit_law(compute[on], error[on])


def test_it_undoes_the_luck_of_a_crowded_frontier() -> None:
    """The running minimum of 80 noisy points pulls the floor down every time; the law behind is
    nearer to the truth on average, and so is the noise."""
    result = [lucky(seed) for seed in range(6)]
    plain = np.mean([fit.law.c for _, _, fit in result])
    laws = [selection(fit, x, y, rule="running-minimum", draws=150, seed=0) for x, y, fit in result]
    assert plain < 0.116  # six standard errors below the truth of 0.12
    assert np.mean([one.law.c for one in laws]) == pytest.approx(0.12, abs=0.002)
    assert np.mean([one.noise for one in laws]) == pytest.approx(0.005, rel=0.1)


def test_known_noise_is_believed() -> None:
    compute, error, fit = lucky(0)
    known = selection(fit, compute, error, rule="running-minimum", draws=100, seed=0, noise=1e-5)
    assert known.noise == 1e-5
    # With next to no noise there is next to no luck to undo.
    guessed = selection(fit, compute, error, rule="running-minimum", draws=100, seed=0)
    assert abs(known.law.c - fit.law.c) < 0.2 * abs(guessed.law.c - fit.law.c)


def test_intervals_only_widen() -> None:
    compute, error, fit = lucky(1)
    on = frontier(compute, error)
    profile = profile_intervals(fit, compute[on], error[on])
    law_behind = selection(fit, compute, error, rule="running-minimum", draws=100, seed=0)
    for name, (low, high) in widened(profile, fit, law_behind).items():
        assert low <= profile[name][0]
        assert high >= profile[name][1]


def test_nothing_is_selected_where_all_points_count() -> None:
    compute, error, fit = lucky(2)
    assert selection(fit, compute, error, rule="all", draws=100, seed=0) is None
    intervals = {"b": (0.2, 0.4)}
    assert widened(intervals, fit, None) == intervals
