from __future__ import annotations

from collections.abc import Iterator

import jax
import numpy as np
import pytest

from tests import made
from vitctl.artifacts.kinds.checkpoint import TITLES, Scores
from vitctl.data.batches import EvalBatch
from vitctl.errors import InputError
from vitctl.inference import scoring
from vitctl.inference.confusion import Confusion
from vitctl.inference.metrics import METRICS
from vitctl.measures import metric_titles
from vitctl.model import vit
from vitctl.sharding import layout as layouts

EXAMPLES = 61
MODEL = made.config().model


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, size=(EXAMPLES, 8, 8, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    """int32[n, 3]: no, one, two or three labels, also behind padding."""
    rng = np.random.default_rng(1)
    result = np.argsort(rng.random((EXAMPLES, MODEL.classes)), axis=1)[:, :3]
    has_label = rng.random((EXAMPLES, 3)) < 0.4
    return np.where(has_label, result, -1).astype(np.int32)


@pytest.fixture(scope="module")
def logits(images) -> np.ndarray:
    out = jax.jit(lambda p, x: vit.apply(p, x, config=MODEL).logits)(made.weights(MODEL), images)
    return np.asarray(out, np.float64)


def batches(images, labels, *, size: int) -> Iterator[EvalBatch]:
    """In order, the last one filled up with other images and labels, which must not count."""
    for first in range(0, EXAMPLES, size):
        at = np.arange(first, first + size)
        is_image = at < EXAMPLES
        at = np.where(is_image, at, 0)
        indices = np.where(is_image, at, -1)
        yield EvalBatch(images=images[at], labels=labels[at], mask=is_image, indices=indices)


def expected(loss: str, logits, labels) -> scoring.MeanScores:
    """Straight from the definitions, one image at a time, in float64."""
    top1, top5, losses = [], [], []
    for z, own in zip(logits, labels, strict=True):
        names = set(own[own >= 0].tolist())
        if not names:
            continue
        ranked = sorted(range(len(z)), key=lambda c: -z[c])
        top1.append(ranked[0] in names)
        top5.append(bool(names & set(ranked[:5])))
        if loss == "sigmoid":
            signs = [1 if c in names else -1 for c in range(len(z))]
            losses.append(sum(np.log1p(np.exp(-s * v)) for s, v in zip(signs, z, strict=True)))
        else:
            log_sum = np.log(np.sum(np.exp(z)))
            losses.append(np.mean([log_sum - z[c] for c in names]))
    means = {"top1": np.mean(top1), "top5": np.mean(top5), "loss": np.mean(losses)}
    return scoring.MeanScores(means, len(losses))


def test_every_metric_is_recorded_and_has_words():
    """In the order in which means are reported: a field without a function is never filled."""
    assert [*METRICS] == [*TITLES]
    assert TITLES.keys() == Scores.model_fields.keys() - {"examples"}


def test_what_is_recorded_as_a_share_is_shown_as_one():
    for name in TITLES:
        limits = [getattr(limit, "le", None) for limit in Scores.model_fields[name].metadata]
        assert metric_titles.is_share(name) == (1 in limits)
    assert metric_titles.shown("top1", 0.12345) == "12.3%"
    assert metric_titles.shown("loss", 1.23456) == "1.23"
    assert metric_titles.shown("loss", None) == "not finite"
    assert metric_titles.title("of a later version") == "of a later version"


@pytest.mark.parametrize(
    ("loss", "size", "devices"),
    [("sigmoid", 1, 1), ("softmax", 7, 1), ("sigmoid", 256, 1), ("softmax", 8, 8)],
)
def test_every_labelled_image_counts_once_at_any_batch_size(
    images, labels, logits, loss, size, devices
):
    layout = layouts.make(devices=devices)
    scorer = scoring.make_scorer(MODEL, loss=loss, precision="float32", layout=layout)
    params = layout.place(made.weights(MODEL))
    scored = scoring.score(scorer, params, batches(images, labels, size=size), layout=layout)
    assert scored is not None
    result = scored.raw
    truth = expected(loss, logits, labels)
    assert result.examples == truth.examples < EXAMPLES
    assert [*result.means] == [*truth.means]
    for name, mean in truth.means.items():
        # What an image adds is rounded to fp32; that an answer is right is not.
        assert result.means[name] == pytest.approx(mean, rel=1e-6 if name == "loss" else 1e-12)


def test_images_without_any_label_cannot_be_scored(images):
    layout = layouts.make(devices=1)
    scorer = scoring.make_scorer(MODEL, loss="sigmoid", precision="float32", layout=layout)
    nothing = np.full((EXAMPLES, 3), -1, np.int32)
    with pytest.raises(InputError, match="no labelled image"):
        scoring.score(
            scorer, made.weights(MODEL), batches(images, nothing, size=256), layout=layout
        )


def test_confusion_counts_classes_and_mistakes():
    labels = np.array([[0, -1], [0, -1], [1, -1], [2, 1], [-1, -1], [2, -1]], np.int32)
    predicted = np.array([0, 2, 1, 1, 0, 0], np.int32)
    right = np.array([True, False, True, True, False, False])
    counted = np.array([True, True, True, True, False, True])
    confusion = Confusion(["ant", "bee", "cat", "dog"])
    rows = scoring.ScoredBatch(counted, predicted, {"top1": right})
    for part in (slice(0, 2), slice(2, 6)):
        confusion.add(labels[part], jax.tree.map(lambda values, at=part: values[at], rows))
    assert confusion.per_class() == [
        {"class": "ant", "examples": 2, "top1": 0.5},
        {"class": "bee", "examples": 2, "top1": 1.0},
        {"class": "cat", "examples": 2, "top1": 0.5},
    ]
    assert confusion.most_frequent() == [
        {"label": "ant", "predicted": "cat", "count": 1},
        {"label": "cat", "predicted": "ant", "count": 1},
    ]
