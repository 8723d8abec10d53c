from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitctl.probe import ridge, scoring
from vitctl.probe.ridge import Classifier
from vitctl.probe.scoring import Scorer


def near_ties(seed: int, *, n: int = 200, d: int = 30, gap: float, offset: float, spread: float):
    """Classes of which every second has nearly the weights of the one before it."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(spread * rng.normal(size=d))
    features = ((rng.normal(size=(n, d)) + offset) * sizes).astype(np.float32)
    weights = rng.normal(size=(d, 6)) / sizes[:, None]
    weights[:, 1::2] = weights[:, ::2] + gap * rng.normal(size=(d, 3)) / sizes[:, None]
    return features, Classifier(weights, rng.normal(size=3).repeat(2))


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 1e-15, 1e-9, 1e-7, 1e-6, 1e-3]),
    st.sampled_from([0.0, 3.0, 1e3]),
    st.sampled_from([0.0, 4.0]),
)
def test_answers_are_those_of_exact_arithmetic(seed, gap, offset, spread):
    features, classifier = near_ties(seed, gap=gap, offset=offset, spread=spread)
    exact = features.astype(np.longdouble) @ classifier.weights.astype(np.longdouble)
    exact += classifier.bias
    [prediction] = Scorer.of(features, like=features[:50]).answers([classifier]).classes
    best = exact.max(axis=1)
    short = best - exact[np.arange(len(exact)), prediction]
    # Float64 may err where the two best differ by its rounding alone.
    scale = np.abs(features.astype(np.float64)) @ np.abs(classifier.weights)
    assert (short <= 1e-14 * scale.max(axis=1)).all()


def test_fp32_alone_would_be_wrong_here(monkeypatch):
    """The same near ties, with the proof taken away: the test above can fail."""
    features, classifier = near_ties(0, n=2000, gap=1e-7, offset=3.0, spread=0.0)
    expected = ridge.predict(classifier, features)
    scorer = Scorer.of(features, like=features)
    whole = scorer.answers([classifier])
    np.testing.assert_array_equal(whole.classes[0], expected)
    assert whole.proven < 2000
    monkeypatch.setattr(scoring, "_gamma", lambda *_: 0.0)
    assert (scorer.answers([classifier]).classes[0] != expected).sum() > 20


def test_most_images_of_a_regression_are_proven_in_fp32(monkeypatch):
    rng = np.random.default_rng(0)
    labels = rng.integers(20, size=3000)
    features = (2 * rng.normal(size=(20, 64))[labels] + rng.normal(size=(3000, 64))) * 7 + 100
    fitted = [
        ridge.fit(features[:400].astype(np.float32), labels[:400], classes=20, l2=l2)
        for l2 in (1.0, 1024.0)
    ]
    monkeypatch.setattr(scoring, "_ROWS", 999)
    answer = Scorer.of(features, like=features[:400]).answers(fitted)
    for one, classes in zip(fitted, answer.classes, strict=True):
        np.testing.assert_array_equal(classes, ridge.predict(one, features))
    assert answer.proven > 0.98 * 2 * 3000


@pytest.mark.parametrize("factor", [1e30, 1e-30, 1e-42])
def test_what_fp32_cannot_hold_is_scored_in_float64(factor):
    features, classifier = near_ties(1, gap=0.1, offset=0.0, spread=0.0)
    wide = Classifier(classifier.weights / factor**2, classifier.bias / factor)
    scaled = features.astype(np.float64) * factor
    [prediction] = Scorer.of(scaled, like=scaled).answers([wide]).classes
    np.testing.assert_array_equal(prediction, ridge.predict(wide, scaled))


def test_equal_scores_go_to_the_lower_index():
    features = np.ones((5, 3), np.float32)
    classifier = Classifier(np.ones((3, 4)), np.zeros(4))
    assert Scorer.of(features, like=features).answers([classifier]).classes.tolist() == [[0] * 5]
