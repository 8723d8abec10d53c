"""A long series as an envelope, against what NumPy says of each stretch."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.report.studies import run
from vitctl.report import training
from vitctl.report.subjects import contents
from vitctl.report.thinning import thinned


def test_a_short_series_stays_as_it_is():
    x, y = np.arange(5.0), np.array([3.0, 1.0, 2.0, 5.0, 4.0])
    short = thinned(x, y, most=5)
    assert not short.is_thinned
    np.testing.assert_array_equal(short.y, y)


@pytest.mark.parametrize("rows", [101, 1000, 99_991])
def test_the_spike_of_a_single_step_stays_visible(rows):
    rng = np.random.default_rng(0)
    x, y = np.arange(float(rows)), rng.normal(size=rows)
    y[rows // 3], y[rows // 2] = 1e6, -1e6
    long = thinned(x, y, most=100)
    assert len(long.x) == 100
    assert long.high.max() == 1e6
    assert long.low.min() == -1e6
    assert (long.low <= long.y).all()
    assert (long.y <= long.high).all()
    if rows > 300:  # neither spike moves the line itself; a stretch of two rows has no middle
        assert np.abs(long.y).max() < 10
    assert long.x[-1] == x[-1]


def test_every_row_is_in_one_stretch():
    """The extremes of the stretches are those of the whole, and stretches are equally long."""
    y = np.random.default_rng(1).permutation(np.arange(1234.0))
    long = thinned(np.arange(1234.0), y, most=100)
    assert np.unique(np.round(np.diff(long.x))).tolist() in ([12.0, 13.0], [12.0], [13.0])
    assert {long.low.min(), long.high.max()} == {0.0, 1233.0}


def test_rows_that_are_not_finite_are_counted():
    y = np.array([1.0, np.nan, 2.0, np.inf, 3.0])
    series = thinned(np.arange(5.0), y, most=100)
    assert series.not_finite == 2
    np.testing.assert_array_equal(series.x, [0, 2, 4])


def test_rows_out_of_order_are_ordered():
    series = thinned(np.array([3.0, 1.0, 2.0]), np.array([30.0, 10.0, 20.0]), most=9)
    np.testing.assert_array_equal(series.y, [10, 20, 30])


def test_lines_of_a_page_share_its_points():
    assert training.points_of_a_line(1) == 600
    for lines in (10, 100, 1000):
        most = training.points_of_a_line(lines)
        assert most * lines <= training.MOST_POINTS or most == 40


@pytest.mark.slow  # a file of 190 MB is written and read
def test_a_million_rows(store):
    line = (
        '{"kind": "train", "step": %d, "images": %d, "lr": 0.001, "loss": %.6f, "grad_norm": 1.5, '
        '"update_norm": 0.1, "param_norm": 90.5, "images_per_second": 812.125, "data_wait": 0.01, '
        '"goodput": 0.95}\n'
    )
    made = run(store, "pretrain", parents=(), steps=(1_000_000,), name="S")
    with (made.path / "metrics.jsonl").open("w") as file:
        file.writelines(
            line % (i, 8 * i, 50.0 if i == 654_321 else 1 + 1 / i) for i in range(1, 1_000_001)
        )
    from vitctl.report.page import page

    begin = time.process_time()
    content = page([(made, None)], store=store).content
    assert time.process_time() - begin < 120  # some 20 s; a loaded machine takes longer
    assert len(content) < 1_000_000
    row = training.logged(contents([(made, None)], store=store).subjects[0])
    loss = training.series(row, "loss", most=600)
    assert loss.rows == 1_000_000
    assert loss.high.max() == 50.0
