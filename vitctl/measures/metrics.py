"""The metrics of a whole split. A new one is an entry of `METRICS` and nothing elsewhere: what
`vitctl evaluate` records, prints and describes comes from this list.

A metric says what it is of given answers, or None where it means nothing. What it gives is a
function of weights, float64[n], how often each image counts (None: once): with these its interval
is found by drawing the images again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vitctl.measures.answers import Answers
from vitctl.model.config import are_independent

Weights = NDArray[np.float64] | None
BINS = 15
"""Of the confidence, equally wide, as in Guo et al., "On calibration of modern neural networks"
(2017)."""


@dataclass(frozen=True)
class Applied:
    """A metric of some answers.

    value      weights -> the metric
    numbers    how many numbers each call touches
    successes  of the mean of something that an image has or has not: how many have it
    range      the least and the largest value there can be
    """

    value: Callable[[Weights], float]
    numbers: int
    successes: int | None = None
    range: tuple[float, float] = (0.0, math.inf)


@dataclass(frozen=True)
class Metric:
    """An entry of the list: its name in JSON, its title for people, what it means, and `of`."""

    name: str
    title: str
    description: str
    of: Callable[[Answers], Applied | None]
    unit: Literal["share", "number"] = "share"


def top_k(k: int) -> Metric:
    """The share of images with a right class among the k of the highest scores."""
    what = "highest score is" if k == 1 else f"{k} highest scores have"
    return Metric(
        f"top{k}",
        f"top-{k}",
        f"Share of images whose {what} a right class.",
        lambda answers: _share(answers.right(k=k)),
    )


def _share(right: NDArray[np.bool_]) -> Applied:
    return Applied(
        lambda weights: float(np.average(right, weights=weights)),
        len(right),
        successes=int(np.count_nonzero(right)),
        range=(0.0, 1.0),
    )


def _mean(values: NDArray[np.floating]) -> Applied:
    exact = values.astype(np.float64)
    return Applied(lambda weights: float(np.average(exact, weights=weights)), len(exact))


def _per_class(answers: Answers) -> Applied | None:
    own = answers.labels if answers.own_labels is None else answers.own_labels
    images, places = np.nonzero(own >= 0)
    labels, right = own[images, places], answers.right()[images]

    def value(weights: Weights) -> float:
        counted = None if weights is None else weights[images]
        shown = np.bincount(labels, weights=counted)
        correct = right.astype(np.float64) if counted is None else right * counted
        hits = np.bincount(labels, weights=correct)
        has_images = shown > 0
        return float(np.mean(hits[has_images] / shown[has_images]))

    return Applied(value, len(labels), range=(0.0, 1.0))


def _mean_average_precision(answers: Answers) -> Applied | None:
    if answers.has_one_label or answers.scores is None or not np.isfinite(answers.scores).all():
        return None
    rankings = [*answers.rankings.values()]

    def value(weights: Weights) -> float:
        return float(np.nanmean([ranked.average_precision(weights) for ranked in rankings]))

    return Applied(value, len(rankings) * len(answers), range=(0.0, 1.0))


def _calibration_error(answers: Answers) -> Applied | None:
    if not np.isfinite(answers.confidence).all():
        return None
    bins, surplus = _bins(answers), answers.confidence.astype(np.float64) - answers.right()

    def value(weights: Weights) -> float:
        by_bin = surplus if weights is None else surplus * weights
        total = len(surplus) if weights is None else weights.sum()
        return float(np.abs(np.bincount(bins, weights=by_bin, minlength=BINS)).sum() / total)

    return Applied(value, len(answers), range=(0.0, 1.0))


def _bins(answers: Answers) -> NDArray[np.intp]:
    """int[n]: the bin of each confidence; 1 lies in the last."""
    return np.minimum((answers.confidence * BINS).astype(np.intp), BINS - 1)


def _brier(answers: Answers) -> Applied | None:
    if not are_independent(answers.loss_name) and not answers.has_one_label:
        return None  # probabilities of one class among all can't be right for two
    if not np.isfinite(answers.squared_error).all():
        return None
    return _mean(answers.squared_error)


def _loss(answers: Answers) -> Applied | None:
    return _mean(answers.loss) if np.isfinite(answers.loss).all() else None


METRICS: tuple[Metric, ...] = (
    Metric(
        "per_class",
        "mean per class",
        "Mean over classes of the share of a class's images that are right, so that each class "
        "counts the same however many images it has.",
        _per_class,
    ),
    Metric(
        "map",
        "mAP",
        "Where images have several labels: mean over classes of average precision, the images "
        "being ranked by the score of the class.",
        _mean_average_precision,
    ),
    Metric(
        "ece",
        "calibration error",
        "Expected calibration error of the answers: how far the model's probability of its answer "
        f"is from the share that is right, in {BINS} bins of that probability.",
        _calibration_error,
    ),
    Metric(
        "brier",
        "Brier score",
        "Mean over images of the squared differences, summed over classes, between probability "
        "and truth; 0 is perfect. Of a model trained with softmax only where no image has several "
        "labels.",
        _brier,
        unit="number",
    ),
    Metric(
        "loss",
        "loss",
        "Mean loss in nats, of the kind the model was trained with: with softmax the negative "
        "log-likelihood of the label, with sigmoid that of all classes, summed.",
        _loss,
        unit="number",
    ),
)


def metrics(tops: Sequence[int]) -> Iterator[Metric]:
    """The whole list: top-k for each of `tops`, then the others."""
    yield from map(top_k, tops)
    yield from METRICS


_BY_NAME = {metric.name: metric for metric in METRICS}


def title(name: str) -> str:
    """What people read for the name of a metric, of a later version's the name."""
    known = _named(name)
    return name if known is None else known.title


def is_share(name: str) -> bool:
    """Whether a metric is shown in percent."""
    known = _named(name)
    return known is not None and known.unit == "share"


def _named(name: str) -> Metric | None:
    if match := re.fullmatch(r"top([1-9][0-9]{0,8})", name):
        return top_k(int(match[1]))
    return _BY_NAME.get(name)


def reliability(answers: Answers) -> list[dict[str, Any]]:
    """For each bin of confidence that has images: its bounds, images, mean confidence and the share
    that is right. Nothing where a confidence is not finite."""
    if not np.isfinite(answers.confidence).all():
        return []
    bins, right = _bins(answers), answers.right()
    return [
        {
            "from": number / BINS,
            "to": (number + 1) / BINS,
            "examples": int(inside.sum()),
            "confidence": float(answers.confidence[inside].mean(dtype=np.float64)),
            "top1": float(right[inside].mean()),
        }
        for number in range(BINS)
        if (inside := bins == number).any()
    ]
