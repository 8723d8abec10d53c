from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from vitctl.errors import UsageError
from vitctl.probe import moments, ridge


def problem(n: int, d: int, *, classes: int, seed: int = 0, offset: float = 3.0):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(classes, size=n - classes)])
    centres = rng.normal(size=(classes, d))
    features = (centres[labels] + rng.normal(size=(n, d)) * 2 + offset).astype(np.float32)
    return features, labels


def whitened(features, like):
    """[(x - mu) / sd, 100] with the statistics of `like`, one column at a time."""
    columns = []
    for column, base in zip(features.T.astype(np.float64), like.T.astype(np.float64), strict=True):
        deviation = np.sqrt(np.mean((base - np.mean(base)) ** 2)) + 1e-5
        columns.append((column - np.mean(base)) / deviation)
    return np.stack([*columns, np.full(len(features), 100.0)], axis=1)


def reference_scores(features, labels, test, *, classes, l2):
    """The same regression by scikit-learn's SVD on explicitly whitened features."""
    targets = -np.ones((len(labels), classes))
    targets[np.arange(len(labels)), labels] = 1
    model = Ridge(alpha=l2, fit_intercept=False, solver="svd")
    model.fit(whitened(features, features), targets)
    return whitened(test, features) @ model.coef_.T


@pytest.mark.parametrize("l2", [1024.0, 1.0, 1e-3])
@pytest.mark.parametrize(
    ("n", "d"),
    [(40, 7), (8, 7), (7, 7), (12, 50)],
    ids=["primal", "primal at n = d + 1", "dual at n = d", "dual"],
)
def test_scores_are_those_of_an_independent_ridge(n, d, l2):
    features, labels = problem(n, d, classes=3)
    test, _ = problem(100, d, classes=3, seed=1)
    fitted = ridge.fit(features, labels, classes=3, l2=l2)
    ours = test.astype(np.float64) @ fitted.weights + fitted.bias
    theirs = reference_scores(features, labels, test, classes=3, l2=l2)
    # Both are float64 solutions; the condition number of the equations (100^2 n / l2) is what
    # they may differ by.
    tolerance = max(1e-10, 1e-14 * 1e4 * n / l2)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(ridge.predict(fitted, test), theirs.argmax(axis=1))


@given(st.integers(2, 5), st.integers(1, 12), st.integers(0, 12), st.integers(0, 2**32 - 1))
def test_primal_and_dual_are_one_solution(classes, d, extra, seed):
    features, labels = problem(classes + extra, d, classes=classes, seed=seed)
    known = moments.of(features, labels, classes=classes)
    [primal] = ridge.of_moments(known, l2s=[16.0])
    [dual] = ridge._dual(features, labels, classes=classes, l2s=[16.0])
    np.testing.assert_allclose(primal.weights, dual.weights, rtol=0, atol=1e-9)
    np.testing.assert_allclose(primal.bias, dual.bias, rtol=0, atol=1e-9)


def nested(*, classes: int, most: int, d: int, seed: int = 0):
    """Features of 2 `most` images a class, and rows of `most` of each."""
    features, labels = problem(2 * most * classes, d, classes=classes, seed=seed)
    labels = np.tile(np.arange(classes), 2 * most)
    features += labels[:, None] % 3
    rng = np.random.default_rng(seed)
    rows = np.stack([rng.permutation(np.where(labels == c)[0])[:most] for c in range(classes)])
    return features, rows


@pytest.mark.parametrize("l2s", [[1024.0], [4.0**i for i in range(-3, 10)]], ids=["one", "many"])
@pytest.mark.parametrize("d", [3, 17, 200], ids=["primal", "dual then primal", "dual"])
def test_nested_shots_and_many_penalties_are_each_the_regression_alone(d, l2s):
    """Chan's update and the eigendecomposition against scikit-learn's SVD of each."""
    features, rows = nested(classes=4, most=6, d=d)
    test, _ = problem(50, d, classes=4, seed=9)
    shots = (1, 2, 4, 6)
    fitted = [one.solved(l2s) for one in ridge.nested(features, rows, shots=shots)]
    assert [len(row) for row in fitted] == [len(l2s)] * 4
    for k, row in zip(shots, fitted, strict=True):
        learned = features[rows[:, :k].reshape(-1)]
        for l2, one in zip(l2s, row, strict=True):
            labels = np.repeat(np.arange(4), k)
            theirs = reference_scores(learned, labels, test, classes=4, l2=l2)
            ours = test.astype(np.float64) @ one.weights + one.bias
            tolerance = max(1e-9, 1e-14 * 1e4 * 4 * k / l2)
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


def test_moments_add_up_far_from_zero():
    """A feature of spread 1e-3 at 1e4: its squares have 14 digits in common."""
    rng = np.random.default_rng(0)
    features = 1e4 + 1e-3 * rng.normal(size=(40, 3))
    features[:, 1] = 7.0
    labels = rng.integers(3, size=40)
    whole = moments.of(features, labels, classes=3)
    added = moments.of(features[:13], labels[:13], classes=3)
    added += moments.of(features[13:], labels[13:], classes=3)
    expected = np.cov(features.T, bias=True) * 40
    for known in (whole, added):
        np.testing.assert_allclose(known.scatter, expected, rtol=1e-6, atol=1e-12)
        assert known.scatter[1, 1] == 0
        np.testing.assert_array_equal(known.counts, np.bincount(labels))
        for c in range(3):
            sums = (features[labels == c] - features.mean(axis=0)).sum(axis=0)
            np.testing.assert_allclose(known.sums[c], sums, atol=1e-10)


def test_a_constant_feature_changes_nothing():
    features, labels = problem(20, 5, classes=3)
    test, _ = problem(30, 5, classes=3, seed=1)
    wide, wide_test = (np.insert(x, 2, 7.0, axis=1) for x in (features, test))
    fitted = ridge.fit(features, labels, classes=3)
    with_it = ridge.fit(wide, labels, classes=3)
    np.testing.assert_allclose(
        wide_test @ with_it.weights + with_it.bias, test @ fitted.weights + fitted.bias, atol=1e-9
    )


def test_prediction_does_not_depend_on_the_rows_around(monkeypatch):
    features, labels = problem(30, 6, classes=4)
    test, _ = problem(101, 6, classes=4, seed=2)
    fitted = ridge.fit(features, labels, classes=4)
    whole = ridge.predict(fitted, test)
    monkeypatch.setattr(ridge, "_ROWS", 7)
    np.testing.assert_array_equal(ridge.predict(fitted, test), whole)


def test_a_penalty_that_float64_cannot_see_is_refused():
    features, labels = problem(20, 3, classes=2)
    twice = np.concatenate([features, features], axis=1)
    with pytest.raises(UsageError, match="too small"):
        ridge.fit(twice, labels, classes=2, l2=1e-20)
    rows = np.arange(20).reshape(2, 10)
    [equations] = ridge.nested(twice, rows, shots=[10])
    with pytest.raises(UsageError, match="penalty of 1e-20 is too small"):
        equations.solved([1e-20 * 2**i for i in range(20)])


@pytest.mark.parametrize(
    ("labels", "l2", "said"),
    [([0, 1], 1.0, "expected features"), ([0, 1, 5], 1.0, "labels must"), ([0, 1, 1], 0.0, "l2")],
)
def test_bad_arguments_are_refused(labels, l2, said):
    with pytest.raises(ValueError, match=said):
        ridge.fit(np.zeros((3, 2), np.float32), np.array(labels), classes=2, l2=l2)
