from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tests.probe.test_ridge import problem
from vitctl.probe import logistic


@pytest.mark.parametrize(("n", "d"), [(60, 7), (20, 50)], ids=["wide", "few examples"])
def test_scores_are_those_of_scikit_learn(n, d):
    features, labels = problem(n, d, classes=4)
    test, _ = problem(100, d, classes=4, seed=1)
    mean, scale = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    scale += 1e-5
    l2s = (100.0, 1.0, 0.01)
    # A gradient of 1e-8 of the mean loss, where the curvature is 0.01 / n: 1e-4 of the scores.
    for l2, result in zip(l2s, logistic.fit(features, labels, classes=4, l2s=l2s), strict=True):
        assert result.converged
        model = LogisticRegression(C=1 / l2, tol=1e-10, max_iter=10_000)
        model.fit((features - mean) / scale, labels)
        expected = model.decision_function((test - mean) / scale)
        scores = test.astype(np.float64) @ result.classifier.weights + result.classifier.bias
        # The bias is free up to a constant, which moves no answer.
        scores -= scores.mean(axis=1, keepdims=True)
        expected -= expected.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(scores, expected, atol=2e-4 * np.abs(expected).max())


def test_a_search_that_was_cut_off_is_marked(monkeypatch):
    features, labels = problem(60, 7, classes=4)
    monkeypatch.setattr(logistic, "_ITERATIONS", 2)
    [result] = logistic.fit(features, labels, classes=4, l2s=[1e-3])
    assert not result.converged


def test_the_gradient_vanishes_also_where_features_correlate():
    """By float64 NumPy, on features whose variances spread over six orders of magnitude, and with
    columns that say the same twice."""
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 5
    features = rng.normal(size=(5, 30))[labels] + rng.normal(size=(90, 30))
    features = features @ (rng.normal(size=(30, 30)) * np.logspace(0, -3, 30))
    features = np.concatenate([features, features[:, :3]], axis=1)
    scale = features.std(axis=0) + 1e-5
    whitened = (features - features.mean(axis=0)) / scale
    for l2 in (10.0, 1e-3):
        [result] = logistic.fit(features, labels, classes=5, l2s=[l2])
        assert result.converged
        weights = result.classifier.weights
        scores = features @ weights + result.classifier.bias
        chances = np.exp(scores - scores.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        off = chances - np.eye(5)[labels]
        gradient = whitened.T @ off + l2 * weights * scale[:, None]
        # Of each coordinate of the turned features at most 1e-8 of the mean loss.
        assert np.abs(gradient).max() / 90 < 1e-8 * np.sqrt(33)
        assert np.abs(off.sum(axis=0)).max() / 90 < 1e-8


def test_a_rough_search_ends_sooner_at_nearly_the_same():
    features, labels = problem(60, 7, classes=4)
    [rough] = logistic.fit(features, labels, classes=4, l2s=[1.0], tolerance=logistic.ROUGHLY)
    [exact] = logistic.fit(features, labels, classes=4, l2s=[1.0])
    assert rough.converged
    assert rough.iterations < exact.iterations
    size = np.abs(exact.classifier.weights).max()
    np.testing.assert_allclose(rough.classifier.weights, exact.classifier.weights, atol=1e-3 * size)
