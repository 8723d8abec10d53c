from __future__ import annotations

import numpy as np
import pytest

from vitctl.events import Left
from vitctl.train.telemetry.eta import Pace


def test_a_steady_run_has_no_spread():
    pace = Pace()
    for _ in range(10):
        pace.steps(50, 25.0)
    left = pace.left(1000, pauses={})
    assert (left.likely, left.low, left.high) == pytest.approx((500, 500, 500))


def test_nothing_is_said_of_too_little():
    pace = Pace()
    for _ in range(4):
        pace.steps(1, 1.0)
    assert pace.left(10, pauses={}) is None


def test_pauses_that_were_met_are_counted():
    pace = Pace()
    for _ in range(5):
        pace.steps(1, 1.0)
    pace.pause("save", 10.0)
    pace.pause("save", 20.0)
    assert pace.left(10, pauses={"save": 3, "score": 7}).likely == pytest.approx(10 + 45)


def test_windows_of_different_lengths_weigh_by_their_steps():
    pace = Pace()
    for _ in range(5):
        pace.steps(1, 3.0)
        pace.steps(9, 9.0)
    assert pace.left(100, pauses={}).likely == pytest.approx(120)


@pytest.mark.parametrize("seed", range(5))
def test_the_truth_lies_within_the_spread(seed):
    """A pace that wanders as machines do: each window keeps 0.9 of how far the last one was off."""
    draw = np.random.default_rng(seed)
    off, seconds = 0.0, []
    for _ in range(400):
        off = 0.9 * off + draw.normal(0, 0.05)
        seconds.append(10 * np.exp(off))
    pace = Pace()
    for s in seconds[:200]:
        pace.steps(10, s)
    left = pace.left(2000, pauses={})
    assert left.low <= sum(seconds[200:]) <= left.high
    assert left.low <= left.likely <= left.high


def test_one_slow_window_keeps_the_order():
    pace = Pace()
    for s in [1.0] * 19 + [1000.0]:
        pace.steps(1, s)
    left = pace.left(10, pauses={})
    assert left.low <= left.likely <= left.high


def test_the_first_steps_give_a_rough_pace_until_windows_do():
    pace = Pace()
    pace.early(1, 3.0)
    assert pace.left(10, pauses={}) is None
    pace.early(2, 6.0)
    assert pace.left(10, pauses={}) == Left(30.0, 30.0, 30.0)
    for _ in range(5):
        pace.steps(1, 1.0)
    assert pace.left(10, pauses={}).likely == pytest.approx(10)
