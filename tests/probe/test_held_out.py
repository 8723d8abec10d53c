from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitctl.probe import held_out
from vitctl.probe.probes import Knn, Logistic, Probe, Ridge
from vitctl.probe.scoring import Scorer


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_folds_hold_out_every_example_once_but_those_that_are_alone(counts):
    rows = np.full((len(counts), max(counts)), -1)
    for c, count in enumerate(counts):
        rows[c, :count] = 100 * c + np.arange(count)
    out = []
    for learned, held in held_out.folds(rows):
        both = np.where(held >= 0, held, learned)
        np.testing.assert_array_equal(both, rows)
        assert not ((learned >= 0) & (held >= 0)).any()
        assert ((learned >= 0).sum(axis=1) > 0).all()
        out += held[held >= 0].tolist()
    alone = [100 * c for c, count in enumerate(counts) if count == 1]
    assert sorted(out + alone) == sorted(rows[rows >= 0])
    assert held_out.can_choose(rows) == bool(out)


def test_enough_is_enough():
    rows = np.arange(30_000).reshape(1000, 30)
    assert [(held >= 0).sum() for _, held in held_out.folds(rows)] == [6000]
    rows = rows[:, :5]
    assert [(held >= 0).sum() for _, held in held_out.folds(rows)] == [1000, 1000]


def test_of_equals_the_one_nearest_to_the_usual_is_chosen():
    rows = np.arange(4).reshape(2, 2)
    counts = {1.0: 3, 10.0: 5, 100.0: 5, 1000.0: 5}
    chosen = held_out.choose(
        list(counts), rows, right=lambda *_: np.array([*counts.values()]), usual=150.0
    )
    assert chosen == 100.0


def noisy(seed: int = 0, *, classes: int = 5, each: int = 12, d: int = 40):
    """Features of which few columns tell something, so that penalties matter."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    features = rng.normal(size=(len(labels), d))
    features[:, :4] += 2 * rng.normal(size=(classes, 4))[labels]
    return features.astype(np.float32), np.arange(len(labels)).reshape(classes, each)


@pytest.mark.parametrize("probe", [Ridge(None), Logistic(None), Knn(None)], ids=repr)
def test_a_choice_is_the_best_of_the_folds_whatever_is_scored(probe: Probe):
    """Written out by the probe with each parameter given; test images do not matter."""
    features, rows = noisy()
    test = np.random.default_rng(1).normal(size=(30, 40)).astype(np.float32)
    classes = np.random.default_rng(2).integers(5, size=30)

    def scorer_of(x):
        return Scorer.of(x, classes, like=features)

    answers_of = {
        k: [
            next(probe.answers(features, rows, shots=[k], scorer=scorer_of(x)))
            for x in (test, 1e3 * test[::-1])
        ]
        for k in (1, 2, 12)
    }
    assert [one.chosen for one in answers_of[1]] == [False, False]
    for k in (2, 12):
        first, second = answers_of[k]
        assert first.chosen
        assert first.parameter == second.parameter
        fixed = type(probe)(first.parameter)
        [again] = fixed.answers(features, rows, shots=[k], scorer=scorer_of(test))
        np.testing.assert_array_equal(again.right, first.right)

        def held_out_right(parameter, k=k):
            total = 0
            for learned, held in held_out.folds(rows[:, :k]):
                images = held[held >= 0]
                scorer = Scorer.of(features[images], np.nonzero(held >= 0)[0], like=features)
                [one] = type(probe)(parameter).answers(features, learned, shots=[k], scorer=scorer)
                total += one.right.sum()
            return total

        others = {Ridge: [1.0, 64.0, 1024.0], Logistic: [0.1, 1.0, 10.0], Knn: [1, 2, 5]}
        best = max(held_out_right(parameter) for parameter in others[type(probe)])
        assert held_out_right(first.parameter) >= best
