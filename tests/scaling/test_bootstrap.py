from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from vitctl.scaling.bootstrap import blocks, bootstrap, draw_tables, percentiles, refit
from vitctl.scaling.fit import fit_law
from vitctl.scaling.frontier import frontier, frontier_mask
from vitctl.scaling.laws import Law
from vitctl.scaling.solver import Objective


def line(seed: int = 0, n: int = 40):
    rng = np.random.default_rng(seed)
    compute = np.exp(rng.uniform(0, 8, n))
    error = 0.7 * compute**-0.2 * np.exp(0.05 * rng.standard_normal(n))
    return compute, error


def test_drawn_residuals_scatter_as_the_textbook_says() -> None:
    """On a straight line the bootstrap's spread of the slope is its standard error."""
    compute, error = line()
    fit = fit_law(compute, error, form="power", objective=Objective(space="log"))
    drawn = bootstrap(fit, compute, error, rule="all", draws=3000, seed=1, resampling="residuals")
    expected = stats.linregress(np.log(compute), np.log(error)).stderr
    # 3000 draws know their standard deviation to 1.3 %; the rest is the sample's own kurtosis.
    assert drawn.theta[:, 1].std() == pytest.approx(expected, rel=0.06)


def test_each_drawn_table_is_fitted_on_its_own_frontier(paper) -> None:
    """The batch against the slow way: one frontier and one fit a table."""
    runs = paper()
    fit = fit_law(*(x[frontier(runs.compute, runs.error)] for x in (runs.compute, runs.error)))
    rng = np.random.default_rng(7)
    drawn, present = draw_tables(runs.error, draws=5, rng=rng)
    weight = frontier_mask(runs.compute, drawn, present).astype(float)
    theta = refit(fit, runs.compute, drawn, weight)
    again = np.random.default_rng(7)
    picks = again.integers(0, len(runs), (5, len(runs)))
    for pick, result in zip(picks, theta, strict=True):
        x, y = runs.compute[pick], runs.error[pick]
        on = frontier(x, y)
        alone = fit_law(x[on], y[on]).law
        law = Law.from_theta(result, unit=fit.unit)
        ours, theirs = ((one.a, one.b, one.c, one.d) for one in (law, alone))
        assert ours == pytest.approx(theirs, rel=1e-3)


def test_blocks_change_nothing_but_memory(paper, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = paper()
    on = frontier(runs.compute, runs.error)
    fit = fit_law(runs.compute[on], runs.error[on])
    arguments = {"rule": "running-minimum", "draws": 30, "seed": 3}
    whole = bootstrap(fit, runs.compute, runs.error, **arguments)
    monkeypatch.setattr("vitctl.scaling.bootstrap._CELLS", 7 * len(runs))
    assert list(blocks(30, len(runs))) == [7, 7, 7, 7, 2]
    parts = bootstrap(fit, runs.compute, runs.error, **arguments)
    np.testing.assert_allclose(parts.theta, whole.theta, rtol=1e-6, atol=1e-9)


def test_draws_too_poor_to_fit_are_counted() -> None:
    """Six frontier runs among twins: many draws keep fewer than five of them."""
    compute = np.array([1.0, 2, 4, 8, 16, 32])
    error = np.array([0.6, 0.5, 0.43, 0.38, 0.345, 0.32])
    fit = fit_law(compute, error)
    drawn = bootstrap(fit, compute, error, rule="running-minimum", draws=200, seed=0)
    assert drawn.failed + len(drawn.theta) == 200
    assert drawn.failed > 100
    assert not drawn.usable
    assert drawn.interval("b", level=0.95) == (None, None)
    assert drawn.error_interval(100.0, level=0.95) == (None, None)


def test_percentiles_of_nothing_are_unknown() -> None:
    assert percentiles(np.array([]), level=0.9) == (None, None)
    assert percentiles(np.arange(101.0), level=0.9) == pytest.approx((5, 95))
