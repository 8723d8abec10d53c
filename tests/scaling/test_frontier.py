from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitctl.scaling.frontier import frontier, frontier_mask

# Few distinct values, so that ties are common.
tables = st.lists(st.tuples(st.integers(1, 8), st.integers(1, 9)), min_size=1, max_size=14).map(
    lambda rows: np.array(rows, float).T / np.array([[1.0], [10.0]])
)


@given(tables)
def test_no_cheaper_run_beats_a_point_of_the_frontier(table: np.ndarray) -> None:
    """Against the definition: on the frontier are exactly the runs that no other run, at most as
    dear, equals or beats; of twins the first."""
    compute, error = table
    n = len(compute)
    expected = {
        i
        for i in range(n)
        if not any(
            (compute[j] <= compute[i] and error[j] < error[i])
            or (compute[j] < compute[i] and error[j] == error[i])
            or (compute[j] == compute[i] and error[j] == error[i] and j < i)
            for j in range(n)
        )
    }
    chosen = frontier(compute, error)
    assert set(chosen.tolist()) == expected
    assert (np.diff(compute[chosen]) > 0).all()
    assert (np.diff(error[chosen]) < 0).all()


@given(tables, st.integers(0, 2**31))
def test_many_subsets_at_once(table: np.ndarray, seed: int) -> None:
    compute, error = table
    present = np.random.default_rng(seed).random((6, len(compute))) < 0.7
    mask = frontier_mask(compute, error, present)
    for chosen, marked in zip(present, mask, strict=True):
        at = np.flatnonzero(chosen)
        expected = at[frontier(compute[at], error[at])] if len(at) else at
        assert set(np.flatnonzero(marked)) == set(expected)


@given(tables)
def test_the_hull_lies_below_every_run(table: np.ndarray) -> None:
    """Convex, on the running minimum, and no run is below the chain it makes in log-log."""
    compute, error = table
    hull = frontier(compute, error, rule="hull")
    assert set(hull) <= set(frontier(compute, error))
    x, y = np.log(compute[hull]), np.log(error[hull])
    slopes = np.diff(y) / np.diff(x)
    assert (np.diff(slopes) > 0).all()
    inside = (np.log(compute) >= x[0]) & (np.log(compute) <= x[-1])
    chain = np.interp(np.log(compute[inside]), x, y)
    assert (np.log(error[inside]) >= chain - 1e-9).all()


def test_all_keeps_every_run() -> None:
    compute, error = np.array([3.0, 1.0, 2.0]), np.array([0.5, 0.4, 0.6])
    assert frontier(compute, error, rule="all").tolist() == [1, 2, 0]


@pytest.mark.parametrize(("metric", "points"), [("inet10", 32), ("inet5", 33), ("pets10", 28)])
def test_the_papers_frontiers(paper, metric: str, points: int) -> None:
    runs = paper(metric)
    assert len(frontier(runs.compute, runs.error)) == points
