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
