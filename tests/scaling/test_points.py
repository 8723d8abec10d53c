"""What no law can describe is refused, with the reason and what helps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vitctl.errors import InputError
from vitctl.scaling.points import Points, check, rank_correlation


def points(compute: list[float], error: list[float]) -> Points:
    return Points(np.array(compute, float), np.array(error, float), np.arange(1, len(compute) + 1))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=20))
def test_rank_correlation_is_spearmans(rows: list[tuple[int, int]]) -> None:
    x, y = np.array(rows, float).T
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert rank_correlation(x, y) == 0
        return
    assert rank_correlation(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize(
    ("compute", "error", "says"),
    [
        ([1, 2, 4, float("nan")], [0.5, 0.4, 0.3, 0.2], "compute is not a number in row 4"),
        ([1, 2, 4, float("inf")], [0.5, 0.4, 0.3, 0.2], "compute is not a number in row 4"),
        ([1, 2, 4, 8], [0.5, float("nan"), 0.3, 0.2], "the error is not a number in row 2"),
        ([1, 0, -4, 8], [0.5, 0.4, 0.3, 0.2], "compute is not positive in row 2 and 1 more"),
        ([1, 2, 4, 8], [0.5, 0.4, 0.3, 1.2], "outside 0..1 in row 4"),
        ([1, 2], [0.5, 0.4], "no law can be fitted to 2 runs at 2 values of compute"),
        ([5, 5, 5, 5], [0.5, 0.4, 0.3, 0.2], "4 runs at 1 value of compute"),
        ([1, 2, 4, 8], [0.4, 0.4, 0.4, 0.4], "flat: every run has error 0.4"),
        ([1, 2, 4, 8], [0.2, 0.3, 0.4, 0.5], "the error grows with compute"),
        ([1, 2, 3, 4, 5, 6, 7, 8], [0.4, 0.41, 0.4, 0.41] * 2, "does not fall with compute"),
    ],
)
def test_refused(compute: list[float], error: list[float], says: str) -> None:
    with pytest.raises(InputError, match=says) as refusal:
        check(points(compute, error))
    assert refusal.value.exit_code == 3
    assert refusal.value.hint


def test_the_hint_names_the_other_kind_of_column() -> None:
    rising = points([1, 2, 4, 8], [0.2, 0.3, 0.4, 0.5])
    with pytest.raises(InputError) as refusal:
        check(rising, metric="error")
    assert "--accuracy COLUMN" in str(refusal.value.hint)
    with pytest.raises(InputError) as refusal:
        check(rising, metric="accuracy")
    assert "--error COLUMN" in str(refusal.value.hint)


def test_accuracies_of_the_paper_passed_as_errors_are_noticed(paper) -> None:
    runs = paper()
    swapped = Points(runs.compute, 1 - runs.error, runs.row)
    with pytest.raises(InputError, match="grows with compute"):
        check(swapped)
    check(runs)


def test_models_are_ordered_by_what_an_image_costs(paper) -> None:
    assert paper().models == (
        ["s/28", "S/32", "s/16", "Ti/16", "S/16", "B/32", "B/28", "B/16", "L/16", "g/14", "G/14"]
    )
