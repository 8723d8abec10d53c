from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from vitctl.model import posemb

sides = st.integers(1, 9)


@settings(deadline=None, max_examples=50)
@given(old=st.tuples(sides, sides), new=st.tuples(sides, sides), seed=st.integers(0, 99))
def test_resampling_equals_scipy(old: tuple[int, int], new: tuple[int, int], seed: int) -> None:
    grid = np.random.default_rng(seed).normal(size=(*old, 3)).astype(np.float32)
    zoom = (new[0] / old[0], new[1] / old[1], 1)
    expected = scipy.ndimage.zoom(grid, zoom, order=1)
    assert expected.shape == (*new, 3)
    ours = posemb.resample(grid.reshape(1, -1, 3), old_grid=old, new_grid=new)
    np.testing.assert_allclose(ours.reshape(*new, 3), expected, rtol=1e-5, atol=1e-6)
    assert ours.dtype == np.float32


def test_resampling_keeps_corners_and_planes() -> None:
    x, c = np.meshgrid(np.linspace(0, 1, 4), np.linspace(0, 1, 7), indexing="ij")
    plane = (2 * x - 3 * c).reshape(1, -1, 1)
    x, c = np.meshgrid(np.linspace(0, 1, 9), np.linspace(0, 1, 5), indexing="ij")
    ours = posemb.resample(plane, old_grid=(4, 7), new_grid=(9, 5))
    np.testing.assert_allclose(ours.reshape(9, 5), 2 * x - 3 * c, atol=1e-12)


def test_the_same_grid_is_the_same_array() -> None:
    position = np.random.default_rng(0).normal(size=(1, 6, 4)).astype(np.float32)
    ours = posemb.resample(position, old_grid=(2, 3), new_grid=(2, 3))
    np.testing.assert_array_equal(ours, position)


def test_a_grid_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \[1, 6, d\], got \[1, 4, 8\]"):
        posemb.resample(np.zeros((1, 4, 8), np.float32), old_grid=(2, 3), new_grid=(2, 2))


def test_sincos_by_hand() -> None:
    rows, columns, width = 3, 5, 12
    ours = posemb.sincos2d(rows=rows, columns=columns, width=width)
    assert ours.shape == (1, rows * columns, width)
    quarter = width // 4
    for row in range(rows):
        for column in range(columns):
            token = ours[0, row * columns + column]
            for i in range(quarter):
                omega = 1 / 10_000 ** (i / (quarter - 1))
                assert token[i] == pytest.approx(math.sin(column * omega), abs=1e-6)
                assert token[quarter + i] == pytest.approx(math.cos(column * omega), abs=1e-6)
                assert token[2 * quarter + i] == pytest.approx(math.sin(row * omega), abs=1e-6)
                assert token[3 * quarter + i] == pytest.approx(math.cos(row * omega), abs=1e-6)


@pytest.mark.parametrize("width", [4, 6, 30])
def test_sincos_refuses_widths_without_quarters(width: int) -> None:
    with pytest.raises(ValueError, match=f"got {width}"):
        posemb.sincos2d(rows=2, columns=2, width=width)


@pytest.mark.parametrize(("old", "new"), [(14, 24), (8, 16), (24, 14), (3, 1)])
def test_a_grid_may_span_another_s_coordinates(old: int, new: int) -> None:
    """Features of a cell are sines and cosines of where it lies in the other grid's range."""
    ours = posemb.sincos2d(rows=new, columns=new, width=32, spanning=(old, old)).reshape(
        new, new, 8, 4
    )
    at = np.linspace(0.0, old - 1, new)
    omega = np.geomspace(1.0, 1e-4, 8)
    columns = np.broadcast_to(at[None, :, None], (new, new, 1)) * omega
    rows = np.broadcast_to(at[:, None, None], (new, new, 1)) * omega
    expected = np.concatenate([np.sin(columns), np.cos(columns), np.sin(rows), np.cos(rows)], -1)
    np.testing.assert_allclose(ours.reshape(new, new, 32), expected, atol=1e-6)


def test_spanning_its_own_grid_is_bitwise_the_usual() -> None:
    usual = posemb.sincos2d(rows=5, columns=7, width=24)
    np.testing.assert_array_equal(
        posemb.sincos2d(rows=5, columns=7, width=24, spanning=(5, 7)), usual
    )
