"""Ticks of axes."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitctl.report.scales import percent, scale_of

NUMBERS = st.floats(-1e12, 1e12, allow_nan=False).filter(lambda v: v == 0 or abs(v) > 1e-9)


@given(st.lists(NUMBERS, min_size=1, max_size=20), st.booleans())
def test_ticks_lie_on_the_axis_in_order_with_labels_of_their_own(values, log):
    scale = scale_of(values, log=log)
    ticks = scale.ticks(6)
    assert 1 <= len(ticks) <= 12
    places = [scale.at(value) for value, _ in ticks]
    assert all(a < b for a, b in pairwise(places))
    assert all(-1e-6 <= place <= 1 + 1e-6 for place in places)
    labels = [label for _, label in ticks]
    assert len(set(labels)) == len(labels)
    assert all(-1e-9 <= scale.at(value) <= 1 + 1e-9 for value in values)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0, 50_000], ["0", "10k", "20k", "30k", "40k", "50k"]),
        ([0.0, 1e-3], ["0", "0.0002", "0.0004", "0.0006", "0.0008", "0.001"]),
    ],
)
def test_labels_people_would_write(values, labels):
    assert [label for _, label in scale_of(values).ticks(6)] == labels


def test_percent():
    assert percent([0.5, 0.9, 1.0]) == ["50 %", "90 %", "100 %"]


def test_a_logarithmic_axis_is_even_in_factors():
    scale = scale_of([1.0, 1e6], log=True)
    assert scale.log
    assert math.isclose(scale.at(1e3), 0.5, abs_tol=1e-9)
    assert "1k" in [label for _, label in scale.ticks(8)]


def test_zero_has_no_logarithm():
    assert not scale_of([0.0, 10.0], log=True).log
