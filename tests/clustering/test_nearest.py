"""The nearest center is that of a float64 search over all pairs, whatever multiplies how."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from vitctl.clustering import nearest as module
from vitctl.clustering.nearest import Centers, nearest
from vitctl.clustering.normalize import Normalizer


def by_hand(rows, centers):
    distances = np.square(rows[:, None].astype(np.float64) - centers).sum(axis=2)
    return distances.argmin(axis=1)


def test_a_search_over_all_pairs_agrees():
    random = np.random.default_rng(0)
    rows = random.standard_normal((200, 7)).astype(np.float32)
    centers = random.standard_normal((30, 7))
    np.testing.assert_array_equal(nearest(rows, Centers.of(centers)), by_hand(rows, centers))


def test_what_float32_cannot_tell():
    """Centers that differ by less than float32 shows, far from zero: the product errs by more."""
    random = np.random.default_rng(1)
    base = random.standard_normal(9) + 100
    centers = base + 1e-5 * random.standard_normal((12, 9))
    rows = (base + 1e-4 * random.standard_normal((300, 9))).astype(np.float32)
    scores = rows @ centers.astype(np.float32).T - (np.square(centers).sum(1) / 2).astype("f4")
    expected = by_hand(rows, centers)
    assert (scores.argmax(axis=1) != expected).any()  # this is no easy case
    np.testing.assert_array_equal(nearest(rows, Centers.of(centers)), expected)


def test_of_equal_centers_the_first():
    centers = np.array([[1.0, 0], [0, 1], [0, 1], [1, 0]])
    rows = np.array([[0, 2], [2, 0], [1, 1]], np.float32)
    assert nearest(rows, Centers.of(centers)).tolist() == [1, 0, 0]


@pytest.mark.parametrize("scores", [1, 2**12])
def test_blocks_and_threads_change_nothing(monkeypatch, scores):
    random = np.random.default_rng(2)
    rows = random.standard_normal((500, 5)).astype(np.float32)
    centers = Centers.of(random.standard_normal((40, 5)).round(1))
    whole = nearest(rows, centers)
    monkeypatch.setattr(module, "_SCORES", scores)
    monkeypatch.setattr(module, "_PAIRS", 50)
    with ThreadPoolExecutor(3) as threads:
        np.testing.assert_array_equal(nearest(rows, centers, threads=threads), whole)
    assert nearest(rows[:0], centers).tolist() == []


def test_rows_are_centred_and_of_length_one():
    rows = np.array([[3, 4], [1, 1], [1e30, 1], [1 + 1e-7, 1]], np.float32)
    mean = np.array([1.0, 1.0])
    unit = Normalizer(mean, 1.0, spherical=True)(rows)
    expected = np.array([2, 3]) / np.sqrt(13)
    np.testing.assert_allclose(unit[0], expected, rtol=1e-7)  # rounded to float32 once
    assert unit[1].tolist() == [0, 0]
    assert unit[2].tolist() == [1, 0]
    assert unit[3].tolist() == [1, 0]
    plain = Normalizer(mean, 4.0, spherical=False)(rows)
    assert plain[0].tolist() == [0.5, 0.75]
