"""The metrics of a whole split. A new one is a function in `METRICS` and what people read of it in
`metric_titles.TITLES`: what `vitctl evaluate` records, prints and describes comes from these.

A metric says what it is of given answers, or None where it means nothing. What it gives is a
function of weights, float64[n], how often each image counts (None: once): with these its interval
is found by drawing the images again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitctl.measures import metric_titles
from vitctl.measures.answers import Answers
from vitctl.measures.metric_titles import BINS, MetricTitle, OfSplit
from vitctl.model.config import are_independent

Weights = NDArray[np.float64] | None


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


def top_k(answers: Answers, *, k: int) -> Applied:
    """The share of images with a right class among the k of the highest scores."""
    return _share(answers.right(k=k))


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


METRICS: dict[OfSplit, Callable[[Answers], Applied | None]] = {
    "per_class": _per_class,
    "map": _mean_average_precision,
    "ece": _calibration_error,
    "brier": _brier,
    "loss": _loss,
}


def metrics(answers: Answers, *, tops: Sequence[int]) -> Iterator[tuple[MetricTitle, Applied]]:
    """All that mean something for these answers: top-k for each of `tops`, then the others."""
    for k in tops:
        yield metric_titles.top_k(k), top_k(answers, k=k)
    for name, of in METRICS.items():
        if (applied := of(answers)) is not None:
            yield metric_titles.TITLES[name], applied


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
