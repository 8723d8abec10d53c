"""A model that is no better than the frequencies of its classes is not called trained."""

from __future__ import annotations

import math
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from tests.artifacts.making import checkpoint_summary
from vitctl import losses
from vitctl.train.run import chance

LABELS = np.array([[0, -1], [0, -1], [0, 1], [2, -1], [-1, -1]], np.int32)


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_of_classes_that_are_as_frequent(classes):
    labels = np.arange(classes, dtype=np.int32)[:, None]
    assert chance.priors("softmax", labels, classes=classes) == pytest.approx(
        (math.log(classes), 1 / classes)
    )
    loss, _ = chance.priors("sigmoid", labels, classes=classes)
    assert loss == pytest.approx(math.log(classes) + (classes - 1) * -math.log1p(-1 / classes))


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_it_is_what_the_loss_of_training_gives_for_the_frequencies(loss):
    counted = LABELS[:4]
    targets = np.asarray(losses.multi_hot(jnp.asarray(counted), classes=3))
    if loss == "softmax":
        shares = (targets / targets.sum(axis=1, keepdims=True)).mean(axis=0)
        logits = np.log(shares)
    else:
        shares = targets.mean(axis=0)
        logits = np.log(shares / (1 - shares))
    constant = jnp.tile(jnp.asarray(logits, jnp.float32), (4, 1))
    each = losses.per_example(loss, constant, targets=jnp.asarray(targets))
    least, top1 = chance.priors(loss, LABELS, classes=3)
    assert least == pytest.approx(float(np.mean(np.asarray(each))), rel=1e-5)
    assert top1 == 0.75


def said(monkeypatch, *, loss, top1=None, examples=900, split="val", step=500, smoothing=0.0):
    labels = np.repeat(np.arange(3, dtype=np.int32), 300)[:, None]
    source = SimpleNamespace(
        info=SimpleNamespace(examples=lambda split: 900), labels=lambda split: labels
    )
    monkeypatch.setattr(chance, "image_source", lambda *_: source)
    scores = None
    if top1 is not None:
        scores = {"top1": top1, "top5": 1.0, "loss": loss, "examples": examples}
    cfg = SimpleNamespace(
        loss="softmax",
        label_smoothing=smoothing,
        class_balance=None,
        data=SimpleNamespace(split="train", eval_split=split),
        model=SimpleNamespace(classes=3),
        schedule=SimpleNamespace(warmup_steps=100),
    )
    checkpoint = SimpleNamespace(
        step=step, summary=checkpoint_summary(step, eval=scores, loss=loss)
    )
    return chance.sentence(checkpoint, cfg, SimpleNamespace(path="there"))


def test_what_is_said(monkeypatch):
    sentence = said(monkeypatch, loss=1.0986, top1=0.34)
    assert sentence.startswith(
        "after 500 steps the model is no better than chance (val: top-1 34.0%"
    )
    assert "warmup" not in sentence
    assert "the warmup alone takes 100 steps" in said(monkeypatch, loss=1.2, top1=0.3, step=150)
    assert "(train: loss 1.09" in said(monkeypatch, loss=1.09)


@pytest.mark.parametrize(
    ("loss", "top1"),
    [(0.9, 0.34), (1.3, 0.5), (0.2, 0.9), (1.0, None), (None, 0.3)],
    ids=["lower loss", "overfitted, but right", "good", "training loss", "not finite"],
)
def test_what_learned_anything_is_left_alone(monkeypatch, loss, top1):
    assert said(monkeypatch, loss=loss, top1=top1) is None


def test_synthetic_images_are_left_alone():
    assert chance.sentence(SimpleNamespace(), SimpleNamespace(), None) is None


@pytest.mark.parametrize(
    ("examples", "top1", "is_said"), [(2, 1.0, False), (2, 0, False), (9, 0, True)]
)
def test_a_few_images_tell_nothing(monkeypatch, examples, top1, is_said):
    """Naming one of three classes always gets two images right once in nine times."""
    sentence = said(monkeypatch, loss=1.3, top1=top1, examples=examples)
    assert (sentence is not None) == is_said


def test_a_training_loss_of_smoothed_targets_is_no_measure_of_chance(monkeypatch):
    """It cannot fall to that of the labels; held-out scores are of the plain loss."""
    assert said(monkeypatch, loss=1.2) is not None
    assert said(monkeypatch, loss=1.2, smoothing=0.1) is None
    assert said(monkeypatch, loss=1.0986, top1=0.34, smoothing=0.1) is not None
