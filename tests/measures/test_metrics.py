"""Every metric against scikit-learn or its definition, and intervals against what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sklearn

from vitctl.measures import bootstrap, table
from vitctl.measures.answers import Answers
from vitctl.measures.metrics import METRICS, metrics, reliability
from vitctl.measures.ranking import Ranked

N, Y = 203, 6


def answers_of(logits: np.ndarray, labels: np.ndarray, *, loss_name: str = "softmax") -> Answers:
    """What a model with these logits, float[n, y], answers to images with these labels."""
    exponent = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = exponent / exponent.sum(axis=1, keepdims=True)
    if loss_name == "sigmoid":
        p = 1 / (1 + np.exp(-logits))
    truth = (labels[:, :, None] == np.arange(logits.shape[1])).any(axis=1)
    ranked = np.argsort(-logits, axis=1, kind="stable").astype(np.int32)
    losses = -np.log(np.where(truth, p, 1)).sum(axis=1) / truth.sum(axis=1)
    return Answers(
        labels=labels.astype(np.int32),
        ranked=ranked,
        confidence=p.max(axis=1),
        squared_error=((p - truth) ** 2).sum(axis=1),
        loss=losses,
        classes=logits.shape[1],
        loss_name=loss_name,
        scores=logits,
    )


@pytest.fixture(scope="module")
def logits() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N, Y)).round(1)  # so that some are equal


@pytest.fixture(scope="module")
def single() -> np.ndarray:
    """One label an image; class 4 has no image."""
    return np.random.default_rng(1).choice(
        [0, 1, 2, 3, 5], size=(N, 1), p=[0.6, 0.1, 0.1, 0.1, 0.1]
    )


@pytest.fixture(scope="module")
def several() -> np.ndarray:
    rng = np.random.default_rng(2)
    labels = np.argsort(rng.random((N, Y - 1)), axis=1)[:, :3]  # class 5 has no image
    labels[:, 1:][rng.random((N, 2)) < 0.5] = -1
    return labels


def values(answers: Answers, *, tops: tuple[int, ...] = (1, 3)) -> dict[str, float]:
    return {title.name: of.value(None) for title, of in metrics(answers, tops=tops)}


def test_one_label_an_image_against_scikit_learn(logits, single):
    answers = answers_of(logits, single)
    scores, truth = values(answers), single[:, 0]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    classes = np.arange(Y)
    guesses = logits.argmax(axis=1)
    assert scores["top1"] == pytest.approx(sklearn.accuracy_score(truth, guesses))
    with pytest.warns(UserWarning, match="not in y_true"):
        assert scores["per_class"] == pytest.approx(sklearn.balanced_accuracy_score(truth, guesses))
    assert scores["loss"] == pytest.approx(sklearn.log_loss(truth, p, labels=classes))
    brier = sklearn.brier_score_loss(truth, p, labels=classes, scale_by_half=False)
    assert scores["brier"] == pytest.approx(brier)
    assert "map" not in scores
    # Ties: scikit-learn counts them for the image, we take the lower class, as an argmax does.
    place = (logits > logits[np.arange(N), truth][:, None]).sum(axis=1)
    tied = logits == logits[np.arange(N), truth][:, None]
    place += (tied & (classes < truth[:, None])).sum(axis=1)
    assert scores["top3"] == np.mean(place < 3)


def test_calibration_error_is_its_definition(logits, single):
    answers = answers_of(logits * 2, single)
    right, confidence = answers.ranked[:, 0] == single[:, 0], answers.confidence
    error = 0.0
    for low in np.arange(15) / 15:
        inside = [i for i in range(N) if low <= confidence[i] < low + 1 / 15]
        if inside:
            error += len(inside) / N * abs(np.mean(right[inside]) - np.mean(confidence[inside]))
    assert values(answers)["ece"] == pytest.approx(error)
    rows = reliability(answers)
    assert sum(row["examples"] for row in rows) == N
    gaps = [row["examples"] * abs(row["top1"] - row["confidence"]) for row in rows]
    assert sum(gaps) / N == pytest.approx(error)


def test_a_probability_of_one_lies_in_the_last_bin():
    logits = np.array([[200.0, 0.0], [0.0, 200.0]])
    answers = answers_of(logits, np.zeros((2, 1), np.int32))
    (row,) = reliability(answers)
    assert (row["to"], row["examples"], row["top1"]) == (1, 2, 0.5)
    assert values(answers, tops=(1,))["ece"] == 0.5


def test_several_labels_an_image_against_scikit_learn(logits, several):
    answers = answers_of(logits, several, loss_name="sigmoid")
    scores = values(answers)
    truth = (several[:, :, None] == np.arange(Y)).any(axis=1)
    classes = range(Y - 1)
    expected = [sklearn.average_precision_score(truth[:, c], logits[:, c]) for c in classes]
    assert scores["map"] == pytest.approx(np.mean(expected))
    own = {c: ranked.average_precision() for c, ranked in answers.rankings.items()}
    assert own == pytest.approx(dict(zip(classes, expected, strict=True)))
    assert scores["top1"] == truth[np.arange(N), logits.argmax(axis=1)].mean()
    p = 1 / (1 + np.exp(-logits))
    brier = [sklearn.brier_score_loss(truth[:, c], p[:, c], labels=[0, 1]) for c in range(Y)]
    assert scores["brier"] == pytest.approx(sum(brier))
    recalls = sklearn.recall_score(
        truth, np.eye(Y)[logits.argmax(axis=1)].astype(bool), average=None, labels=[*classes]
    )
    hit = truth[np.arange(N), logits.argmax(axis=1)]
    per_class = [hit[truth[:, c]].mean() for c in classes]
    assert scores["per_class"] == pytest.approx(np.mean(per_class))
    assert (np.array(per_class) >= recalls).all()  # any of the image's labels is right


def test_what_means_nothing_is_left_out(logits, single, several):
    assert "brier" not in values(answers_of(logits, several))
    broken = answers_of(logits, single)
    broken.confidence[3] = np.nan
    broken.squared_error[3] = broken.loss[3] = np.inf
    assert values(broken).keys() == {"top1", "top3", "per_class"}
    assert reliability(broken) == []


def test_weights_are_repetitions(logits, several):
    """A metric of weighted images is that of the images repeated so often."""
    counts = np.random.default_rng(3).integers(0, 4, N)
    plain = answers_of(logits, several, loss_name="sigmoid")
    repeated = answers_of(
        np.repeat(logits, counts, axis=0),
        np.repeat(several, counts, axis=0),
        loss_name="sigmoid",
    )
    pairs = zip(metrics(plain, tops=(1, 2)), metrics(repeated, tops=(1, 2)), strict=True)
    for (title, of), (same, truth) in pairs:
        assert title == same
        weighted = of.value(counts.astype(np.float64))
        assert weighted == pytest.approx(truth.value(None), rel=1e-9), title.name


def test_average_precision_of_weights_against_scikit_learn(logits, several):
    weights = np.random.default_rng(4).integers(0, 3, N).astype(np.float64)
    has_class = (several == 2).any(axis=1)
    expected = sklearn.average_precision_score(has_class, logits[:, 2], sample_weight=weights)
    ranked = Ranked.of(logits[:, 2], has_class)
    assert ranked.average_precision(weights) == pytest.approx(expected)
    assert np.isnan(ranked.average_precision(np.where(has_class, 0.0, 1.0)))


def test_every_metric_has_words_and_an_interval(logits, several):
    rows = table.all_metrics(answers_of(logits, several, loss_name="sigmoid"), tops=(1, 5))
    names = [row.metric.name for row in rows]
    assert names == ["top1", "top5", *METRICS]
    assert len({*names, *(row.metric.title for row in rows)}) >= len(names)
    for row in rows:
        assert row.metric.description.endswith(".")
        assert row.interval is not None
        low, high = row.interval
        assert low < row.value < high, row.metric.name
        assert (row.draws == 0) == row.metric.name.startswith("top")


def test_an_interval_covers_the_truth_as_often_as_it_says(monkeypatch):
    """Of a model whose every probability is 0.1 too high, and right half of the time."""
    monkeypatch.setattr(bootstrap, "_MOST_DRAWS", 200)
    rng, covered = np.random.default_rng(5), dict.fromkeys(("ece", "per_class", "brier"), 0)
    sets = 120
    truths = {"ece": 0.1, "per_class": 0.5, "brier": 0.4**2 + 0.6**2}
    for number in range(sets):
        label = rng.integers(0, 2, 400)
        right = rng.random(400) < 0.5
        first = np.where(right, label, 1 - label)
        answers = Answers(
            labels=label[:, None].astype(np.int32),
            ranked=np.stack([first, 1 - first], axis=1).astype(np.int32),
            confidence=np.full(400, 0.6),
            squared_error=np.where(right, 2 * 0.4**2, 2 * 0.6**2),
            loss=np.zeros(400),
            classes=2,
            loss_name="softmax",
        )
        chosen = {name: of for name in covered if (of := METRICS[name](answers))}
        intervals = bootstrap.intervals([*chosen.values()], images=400, seed=number)
        for name, interval in zip(chosen, intervals, strict=True):
            assert interval is not None
            covered[name] += interval[0] <= truths[name] <= interval[1]
    # 120 sets: 95 % is 114, and fewer than 106 has a probability of one in 1,000.
    assert all(hits >= 106 for hits in covered.values()), covered


def test_the_ends_of_an_interval_are_ordered_values_there_can_be():
    """Of a model that is calibrated by luck: all redrawn errors are larger than twice its own."""
    right = np.arange(200) % 2 == 0
    answers = Answers(
        labels=np.zeros((200, 1), np.int32),
        ranked=np.where(right, 0, 1)[:, None].astype(np.int32),
        confidence=np.repeat([0.5, 0.55, 0.45, 0.5], 50),
        squared_error=np.zeros(200),
        loss=np.zeros(200),
        classes=2,
        loss_name="softmax",
    )
    of = METRICS["ece"](answers)
    lucky = type(of)(lambda w: 0.0 if w is None else of.value(w) + 0.01, of.numbers, range=of.range)
    assert bootstrap.intervals([lucky], images=200) == [(0.0, 0.0)]


def test_an_interval_that_would_take_minutes_is_left_out(logits, several):
    answers = answers_of(logits, several, loss_name="sigmoid")
    chosen = [METRICS[name](answers) for name in ("map", "ece")]
    many = [type(of)(of.value, 10**9, range=of.range) for of in chosen[:1] if of]
    assert bootstrap.draws_of(many[0]) == 0
    intervals = bootstrap.intervals([*many, chosen[1]], images=N)
    assert intervals[0] is None
    assert intervals[1] is not None
