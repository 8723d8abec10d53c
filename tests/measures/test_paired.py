"""The comparison of two classifiers against scipy, published numbers and what intervals promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from vitctl.measures.paired import Paired


def test_counts_are_of_images():
    first = np.array([True, True, False, False, True])
    second = np.array([True, False, True, False, True])
    paired = Paired.of(first, second)
    assert paired == Paired(both=2, only_first=1, only_second=1, neither=1)
    assert paired.images == 5
    assert paired.difference == second.mean() - first.mean()


@pytest.mark.parametrize(
    ("only_first", "only_second"), [(1, 9), (0, 3), (5, 5), (12, 20), (0, 0), (300, 410)]
)
def test_p_values_are_of_the_binomial_test(only_first, only_second):
    paired = Paired(both=10, only_first=only_first, only_second=only_second, neither=4)
    differing = only_first + only_second
    if not differing:
        assert paired.p_exact == paired.p_mid == 1.0
        return
    assert paired.p_exact == pytest.approx(stats.binomtest(only_first, differing).pvalue)
    # Mid-p from the definition: more uneven splits, and half of those as uneven.
    pmf = stats.binom.pmf(np.arange(differing + 1), differing, 0.5)
    gap = np.abs(2 * np.arange(differing + 1) - differing)
    own = abs(only_first - only_second)
    assert paired.p_mid == pytest.approx(pmf[gap > own].sum() + pmf[gap == own].sum() / 2)


def test_the_published_example():
    """Airway hyper-responsiveness before and after stem cell transplantation (Bentur et al., 2009)
    as Fagerland, Lydersen and Laake (2014) analyse it: 1, 1, 7, 12 of 21 children."""
    paired = Paired(both=1, only_first=1, only_second=7, neither=12)
    assert paired.p_exact == pytest.approx(0.0703, abs=1e-4)
    assert paired.p_mid == pytest.approx(0.0391, abs=1e-4)
    # By hand: 8/23 - 2/23 = 0.2609, plus and minus 1.96 sqrt((10/23 - 0.2609²) / 23).
    assert paired.interval() == pytest.approx((0.0134, 0.5083), abs=1e-4)


def test_the_interval_covers_the_difference_as_often_as_it_says():
    rng, covered, sets = np.random.default_rng(0), 0, 4000
    chances = [0.5, 0.1, 0.18, 0.22]
    for counts in rng.multinomial(150, chances, size=sets):
        low, high = Paired(*map(int, counts)).interval()
        covered += low <= 0.08 <= high
    assert 0.94 <= covered / sets <= 0.965
