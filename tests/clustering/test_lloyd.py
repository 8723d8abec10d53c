"""k-means: scikit-learn's labels from the same centers, and the same bits however it is shared."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from vitctl.clustering import agreement, seeding
from vitctl.clustering.lloyd import FittedCenters, Lloyd, RowBlock, alone
from vitctl.clustering.sums import Sums, bits_for


@dataclass
class Arrays:
    """Rows of one process: every `of`-th block of `size` rows."""

    rows: np.ndarray
    size: int = 64
    share: int = 0
    of: int = 1

    @property
    def count(self) -> int:
        return len(self.rows)

    def blocks(self):
        firsts = range(0, len(self.rows), self.size)
        for first in list(firsts)[self.share :: self.of]:
            rows = self.rows[first : first + self.size]
            yield RowBlock(np.arange(first, first + len(rows)), rows)


def points(seed=0, count=400, width=6, spherical=False):
    random = np.random.default_rng(seed)
    middles = random.uniform(-0.5, 0.5, (9, width))
    rows = middles[random.integers(9, size=count)] + 0.08 * random.standard_normal((count, width))
    if spherical:
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32)


def fitted(rows, first_centers, *, spherical=False, tolerance=0.0, iterations=200, gather=alone):
    lloyd = Lloyd(rows, spherical, iterations, tolerance, gather)
    fit = FittedCenters(first_centers)
    while not fit.ended:
        fit = lloyd.step(fit)
    return fit, lloyd


def same(one: FittedCenters, other: FittedCenters) -> bool:
    return one.centers.tobytes() == other.centers.tobytes() and (one.inertias, one.reseeded) == (
        other.inertias,
        other.reseeded,
    )


def test_scikit_learn_agrees_from_the_same_centers():
    from sklearn.cluster import KMeans

    rows = points()
    first_centers = rows[seeding.choose(rows, clusters=9, seed=3)].astype(np.float64)
    fit, lloyd = fitted(Arrays(rows), first_centers)
    theirs = KMeans(9, init=first_centers, n_init=1, tol=0, max_iter=200, algorithm="lloyd")
    theirs.fit(rows.astype(np.float64))
    np.testing.assert_array_equal(np.concatenate(lloyd._labels), theirs.labels_)
    # Sums of 400 float64 in another order.
    np.testing.assert_allclose(fit.centers, theirs.cluster_centers_, rtol=0, atol=1e-14)
    assert fit.inertias[-1] == pytest.approx(theirs.inertia_, rel=1e-11)
    assert list(fit.inertias) == sorted(fit.inertias, reverse=True)


def test_spherical_centers_are_mean_directions():
    rows = points(spherical=True)
    first_centers = rows[seeding.choose(rows, clusters=9, seed=0)].astype(np.float64)
    fit, lloyd = fitted(Arrays(rows), first_centers, spherical=True)
    labels = np.concatenate(lloyd._labels)
    for cluster, center in enumerate(fit.centers):
        mean = rows[labels == cluster].astype(np.float64).sum(axis=0)
        # Sums are rounded to 2^-51.
        np.testing.assert_allclose(center, mean / np.linalg.norm(mean), rtol=0, atol=1e-13)
    np.testing.assert_array_equal(labels, (rows @ fit.centers.T).argmax(axis=1))


def test_blocks_and_a_beginning_in_the_middle_change_no_bit():
    rows = points(count=777)
    first_centers = rows[seeding.choose(rows, clusters=20, seed=1)].astype(np.float64)
    whole, _ = fitted(Arrays(rows), first_centers, tolerance=1e-4)
    assert 4 < len(whole.inertias) < 200
    assert same(fitted(Arrays(rows, size=1000), first_centers, tolerance=1e-4)[0], whole)
    part = FittedCenters(first_centers)
    while not part.ended:  # every iteration by one that remembers nothing
        part = Lloyd(Arrays(rows, size=50), False, 200, 1e-4).step(part)
    assert same(part, whole)


@pytest.mark.parametrize("duplicates", [False, True])
def test_processes_change_no_bit(duplicates):
    """Three that gather as real ones do; also where clusters are begun anew in all of them."""
    rows = points(count=500)
    first_centers = rows[:12].astype(np.float64)
    if duplicates:
        first_centers[5:9] = first_centers[0]
    whole, _ = fitted(Arrays(rows, size=40), first_centers)
    assert (whole.reseeded > 0) == duplicates
    barrier, parts, out = threading.Barrier(3), [None] * 3, [None] * 3

    def work(index):
        def gather(array):
            parts[index] = array
            barrier.wait(20)
            every = np.stack(parts)
            barrier.wait(20)
            return every

        out[index], _ = fitted(Arrays(rows, 40, index, 3), first_centers, gather=gather)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    assert all(same(fit, whole) for fit in out)


def test_a_cluster_without_rows_takes_the_farthest():
    rows = np.array([[0.0], [0.1], [0.2], [0.9], [1.0]], np.float32)
    first_centers = np.array([[0.0], [5.0], [6.0]])
    fit = Lloyd(Arrays(rows), False, 9, 0.0).step(FittedCenters(first_centers))
    # All rows are of the first cluster; 1.0 is farthest from it, then 0.9.
    np.testing.assert_allclose(fit.centers, [[0.1], [1.0], [0.9]], rtol=1e-7)
    assert fit.reseeded == 2
    assert not fit.ended


def test_rows_are_read_as_seldom_however_many_clusters_are_begun_anew():
    reads = []

    class Counting(Arrays):
        def blocks(self):
            reads.append(self.count)
            return super().blocks()

    rows = points()
    first_centers = np.repeat(rows[:1].astype(np.float64), 9, axis=0)
    fit = Lloyd(Counting(rows), False, 1, 0.0).step(FittedCenters(first_centers))
    assert fit.reseeded == 8
    # Labels, sums and lengths; the farthest rows.
    assert len(reads) == 2


def test_of_two_values_no_third_cluster_is_made():
    rows = np.array([[0.0], [0.0], [1.0], [1.0]], np.float32)
    fit, lloyd = fitted(Arrays(rows), np.array([[0.0], [1.0], [7.0]]))
    assert fit.centers.tolist() == [[0.0], [1.0], [7.0]]
    assert np.concatenate(lloyd._labels).tolist() == [0, 0, 1, 1]


def test_sums_are_exact_and_take_back_without_a_trace():
    random = np.random.default_rng(0)
    rows = random.uniform(-1, 1, (300, 3)).astype(np.float32)
    labels = random.integers(4, size=300).astype(np.int32)
    sums = Sums.none(4, 3, bits=40)
    sums.add(rows, labels)
    exact = [
        [sum(Fraction(round(Fraction(float(x)) * 2**40)) for x in column) for column in part.T]
        for part in (rows[labels == cluster] for cluster in range(4))
    ]
    assert sums.rows.tolist() == exact
    sums.add(rows[::-1], labels[::-1], sign=-1)
    assert not sums.rows.any()
    assert not sums.counts.any()


def test_sums_of_very_many_rows_fit():
    for count in (1, 1000, 10**6, 2**40):
        assert count * 2 ** bits_for(count) <= 2**62
    assert bits_for(10**6) == 42


# ---- First centers


def test_first_centers_are_rows_far_from_each_other():
    """Of nine tight groups each gets one; drawn evenly, so many differ once in a thousand times."""
    random = np.random.default_rng(5)
    middles = random.uniform(-0.9, 0.9, (9, 6))
    group = np.repeat(np.arange(9), 30)
    rows = (middles[group] + 1e-3 * random.standard_normal((270, 6))).astype(np.float32)
    for seed in range(3):
        assert sorted(group[seeding.choose(rows, clusters=9, seed=seed)]) == list(range(9))


def test_no_more_first_centers_than_values():
    rows = np.array([[0.5], [0.5], [-0.25], [0.5]], np.float32)
    assert sorted(rows[seeding.choose(rows, clusters=3, seed=0)].ravel()) == [-0.25, 0.5]


def test_distances_of_first_centers_are_exact():
    random = np.random.default_rng(0)
    rows = random.uniform(-1, 1, (40, 300)).astype(np.float32)
    whole = seeding._whole(rows)
    distances = seeding._distances(whole, np.square(whole).sum(axis=1), np.array([3]))[0]
    for row, distance in zip(whole, distances, strict=True):
        assert sum((int(a) - int(b)) ** 2 for a, b in zip(row, whole[3], strict=True)) == distance


# ---- Quality


def test_agreement_is_scikit_learns():
    from sklearn.metrics import normalized_mutual_info_score as theirs

    random = np.random.default_rng(0)
    one = random.integers(7, size=200).astype(np.int32)
    other = np.where(random.random(200) < 0.5, one, random.integers(5, size=200)).astype(np.int32)
    ours = agreement.normalized_mutual_information(one, other)
    assert ours == pytest.approx(theirs(one, other), abs=1e-12)
    assert agreement.normalized_mutual_information(one, 6 - one) == pytest.approx(1)
    assert agreement.normalized_mutual_information(one * 0, one * 0) == 0


def test_balance():
    assert agreement.balance(np.array([5, 5, 5])) == pytest.approx(1)
    assert agreement.balance(np.array([15, 0, 0])) == 0
    assert agreement.balance(np.array([5, 5, 0, 0])) == pytest.approx(0.5)
