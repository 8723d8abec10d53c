from __future__ import annotations

import numpy as np
import pytest

from vitctl.formula.integers import ONE
from vitctl.formula.systems import CHOICES, draw_systems, singular_values

SYSTEMS = draw_systems(seed=0, classes=40)


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_singular_values_obey_the_constraint(count):
    random = np.random.default_rng(count)
    for _ in range(200):
        sigma = (5 + count) / 2 + random.uniform() / 2
        values = singular_values(count, sigma, iter(random.uniform(size=2 * count)))
        assert (values[:, 0] + 1e-9 >= values[:, 1]).all()
        assert values.min() >= -1e-9
        assert values.max() <= 1 + 1e-9
        assert np.isclose((values @ [1, 2]).sum(), sigma)


def test_an_attractor_fills_the_square():
    """By a chaos game in float64 of one orbit, which shares nothing with the integer one."""
    random = np.random.default_rng(0)
    for index in range(0, 40, 8):
        maps = SYSTEMS.maps[index] / ONE
        point, points = np.zeros(2), []
        for step in range(6000):
            a, b, c, d, e, f = maps[SYSTEMS.chosen[index][random.integers(CHOICES)]]
            point = np.asarray([a * point[0] + b * point[1] + e, c * point[0] + d * point[1] + f])
            if step > 50:
                points.append(point)
        points = np.asarray(points)
        # The wider axis spans the square, the other one at least half as much as it can.
        assert 0.9 < np.abs(points).max() < 1.2
        assert np.abs(points).max(axis=0).min() > 0.005


def test_maps_are_chosen_by_their_area():
    for index in range(40):
        count = SYSTEMS.count[index]
        a, b, c, d = SYSTEMS.maps[index, :count, :4].T / ONE
        area = np.abs(a * d - b * c)
        share = np.bincount(SYSTEMS.chosen[index], minlength=count)[:count] / CHOICES
        assert SYSTEMS.chosen[index].max() == count - 1
        assert np.abs(share - area / area.sum()).max() < 0.02


def test_more_classes_begin_with_the_same_ones():
    few = draw_systems(seed=0, classes=5)
    assert np.array_equal(few.maps, SYSTEMS.maps[:5])
    assert not np.array_equal(draw_systems(seed=1, classes=5).maps, few.maps)


def test_numbers_fit_sixteen_bits_after_any_jitter():
    most = np.abs(SYSTEMS.maps).max() * 1.1 + 1
    assert most < 2**15
