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
    best = exact.argmax(axis=1)
    rng = np.random.default_rng(seed)
    for labels in (best, np.argsort(exact, axis=1)[:, -2], rng.integers(-1, 6, size=(200, 3))):
        scorer = Scorer.of(features, labels, like=features[:50])
        [right] = scorer.answers([classifier]).right
        columns = labels.reshape(200, -1)
        own = np.where(columns >= 0, np.take_along_axis(exact, columns, axis=1), -np.inf)
        lead = own.max(axis=1) - exact.max(axis=1)
        # Float64 may err where the two best differ by its rounding alone.
        scale = (np.abs(features.astype(np.float64)) @ np.abs(classifier.weights)).max(axis=1)
        expected = (columns == best[:, None]).any(axis=1)
        clear = np.sort(exact, axis=1)[:, -1] - np.sort(exact, axis=1)[:, -2] > 1e-14 * scale
        np.testing.assert_array_equal(right[clear], expected[clear])
        assert (lead[right] >= -1e-14 * scale[right]).all()


def test_fp32_alone_would_be_wrong_here(monkeypatch):
    """The same near ties, with the proof taken away: the test above can fail."""
    features, classifier = near_ties(0, n=2000, gap=1e-7, offset=3.0, spread=0.0)
    expected = ridge.predict(classifier, features)
    scorer = Scorer.of(features, expected, like=features)
    whole = scorer.answers([classifier])
    assert whole.right.all()
    assert whole.proven < 2000
    monkeypatch.setattr(scoring, "_gamma", lambda *_: 0.0)
    assert (~scorer.answers([classifier]).right).sum() > 20


def test_most_images_of_a_regression_are_proven_in_fp32(monkeypatch):
    rng = np.random.default_rng(0)
    labels = rng.integers(20, size=3000)
    features = (2 * rng.normal(size=(20, 64))[labels] + rng.normal(size=(3000, 64))) * 7 + 100
    fitted = [
        ridge.fit(features[:400].astype(np.float32), labels[:400], classes=20, l2=l2)
        for l2 in (1.0, 1024.0)
    ]
    monkeypatch.setattr(scoring, "_ROWS", 999)
    answer = Scorer.of(features, labels, like=features[:400]).answers(fitted)
    for one, right in zip(fitted, answer.right, strict=True):
        np.testing.assert_array_equal(right, ridge.predict(one, features) == labels)
    assert answer.proven > 0.98 * 2 * 3000


def test_a_wrong_answer_is_proven_by_few_classes():
    """200 classes in 20 groups, those of a group alike: a tenth of the products tells most."""
    rng = np.random.default_rng(0)
    groups = rng.normal(size=(20, 48))
    centres = groups[np.arange(200) // 10] + 0.5 * rng.normal(size=(200, 48))
    learned = np.repeat(np.arange(200), 4)
    labels = rng.integers(200, size=2000)
    train = (centres[learned] + 1.5 * rng.normal(size=(800, 48))).astype(np.float32)
    test = (centres[labels] + 1.5 * rng.normal(size=(2000, 48))).astype(np.float32)
    fitted = [ridge.fit(train, learned, classes=200, l2=l2) for l2 in (1.0, 1024.0)]
    answer = Scorer.of(test, labels, like=train).answers(fitted)
    for one, right in zip(fitted, answer.right, strict=True):
        np.testing.assert_array_equal(right, ridge.predict(one, test) == labels)
    wrong = int((~answer.right).sum())
    assert wrong > 1000
    assert answer.rivals > 0.6 * wrong


@pytest.mark.parametrize("factor", [1e30, 1e-30, 1e-42])
def test_what_fp32_cannot_hold_is_scored_in_float64(factor):
    features, classifier = near_ties(1, gap=0.1, offset=0.0, spread=0.0)
    wide = Classifier(classifier.weights / factor**2, classifier.bias / factor)
    scaled = features.astype(np.float64) * factor
    expected = ridge.predict(wide, scaled)
    for labels, answer in ((expected, True), ((expected + 1) % 6, False)):
        [right] = Scorer.of(scaled, labels, like=scaled).answers([wide]).right
        np.testing.assert_array_equal(right, answer)


def test_a_sum_that_overflows_on_its_way_proves_nothing():
    """2^100 times 2^50 and back: fp32 ends at infinity or NaN, the answer is the second class."""
    features = np.tile(np.float32([2.0**50, 2.0**50, 1.0]), (3, 1))
    classifier = Classifier(np.array([[2.0**100, 0], [-(2.0**100), 0], [0, 1.0]]), np.zeros(2))
    scorer = Scorer(
        features,
        np.ones((3, 1), int),
        np.arange(3),
        np.zeros(3, np.float32),
        np.ones(3, np.float32),
    )
    answer = scorer.answers([classifier])
    assert (answer.right.all(), answer.proven) == (True, 0)


def test_equal_scores_go_to_the_lower_index():
    features = np.ones((5, 3), np.float32)
    classifier = Classifier(np.ones((3, 4)), np.zeros(4))
    for label in range(4):
        [right] = Scorer.of(features, np.full(5, label), like=features).answers([classifier]).right
        assert right.tolist() == [label == 0] * 5
