from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from vitctl.probe import neighbours


def problem(seed: int, *, n: int = 60, d: int = 8, classes: int = 5):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    centres = rng.normal(size=(classes, d))
    return (centres[labels] + rng.normal(size=(n, d))).astype(np.float32), labels


@pytest.mark.parametrize("temperature", [0.07, 1e-3])
def test_answers_are_those_of_scikit_learn(temperature, monkeypatch):
    train, labels = problem(0)
    test, _ = problem(1, n=200)
    monkeypatch.setattr(neighbours, "_SIMILARITIES", 60 * 7)
    counts = [1, 3, 20, 60]
    answer = neighbours.answers(
        train, labels, test, classes=5, counts=counts, temperature=temperature
    )
    for k, prediction in zip(counts, answer, strict=True):
        model = KNeighborsClassifier(
            k,
            metric="cosine",
            algorithm="brute",
            weights=lambda distance: np.exp(
                (distance.min(axis=1, keepdims=True) - distance) / temperature
            ),
        )
        expected = model.fit(train.astype(np.float64), labels).predict(test.astype(np.float64))
        np.testing.assert_array_equal(prediction, expected)


def test_rows_of_zeros_are_no_nan():
    train = np.array([[0, 0], [0, 1], [1, 0]], np.float32)
    test = np.array([[0, 0], [0, 2]], np.float32)
    [answer] = neighbours.answers(train, np.array([0, 1, 1]), test, classes=2, counts=[1])
    assert answer[1] == 1


def test_more_neighbours_than_examples_are_refused():
    with pytest.raises(ValueError, match="4 neighbours of 3"):
        neighbours.answers(np.eye(3), np.arange(3), np.eye(3), classes=3, counts=[1, 4])
