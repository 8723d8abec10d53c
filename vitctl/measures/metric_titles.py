"""Every metric by its name: what people read, what it means, whether it is a share. One list for
what training follows and what `vitctl evaluate` records; it imports no array library.

How a metric is computed stands in two places, for a reason (docs/decisions, 0027): as a value an
image, on the devices, in `vitctl.inference.metrics`, and of all answers to a split, with an
interval, in `vitctl.measures.metrics`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

BINS = 15
"""Of the confidence, equally wide, as in Guo et al., "On calibration of modern neural networks"
(2017)."""

OfSplit = Literal["per_class", "map", "ece", "brier", "loss"]
"""Metrics of a whole split, besides top-k for any k."""


@dataclass(frozen=True)
class MetricTitle:
    """`name` is that of JSON, `title` what people read."""

    name: str
    title: str
    description: str
    unit: Literal["share", "number"]


def top_k(k: int) -> MetricTitle:
    """Of the share of images with a right class among the k of the highest scores."""
    what = "highest score is" if k == 1 else f"{k} highest scores have"
    return MetricTitle(
        f"top{k}", f"top-{k}", f"Share of images whose {what} a right class.", "share"
    )


TITLES: dict[OfSplit, MetricTitle] = {
    "per_class": MetricTitle(
        "per_class",
        "mean per class",
        "Mean over classes of the share of a class's images that are right, so that each class "
        "counts the same however many images it has.",
        "share",
    ),
    "map": MetricTitle(
        "map",
        "mAP",
        "Where images have several labels: mean over classes of average precision, the images "
        "being ranked by the score of the class.",
        "share",
    ),
    "ece": MetricTitle(
        "ece",
        "calibration error",
        "Expected calibration error of the answers: how far the model's probability of its answer "
        f"is from the share that is right, in {BINS} bins of that probability.",
        "share",
    ),
    "brier": MetricTitle(
        "brier",
        "Brier score",
        "Mean over images of the squared differences, summed over classes, between probability "
        "and truth; 0 is perfect. Of a model trained with softmax only where no image has several "
        "labels.",
        "number",
    ),
    "loss": MetricTitle(
        "loss",
        "loss",
        "Mean loss in nats, of the kind the model was trained with: with softmax the negative "
        "log-likelihood of the label, with sigmoid that of all classes, summed.",
        "number",
    ),
}
_BY_NAME: dict[str, MetricTitle] = {title.name: title for title in TITLES.values()}


def title(name: str) -> str:
    """What people read for the name of a metric, of a later version's the name."""
    known = _named(name)
    return name if known is None else known.title


def is_share(name: str) -> bool:
    """Whether a metric is shown in percent."""
    known = _named(name)
    return known is not None and known.unit == "share"


def shown(name: str, value: float | None, *, digits: int = 1) -> str:
    """The value of a metric as people read it: a share in percent to so many decimals, another to
    two more significant digits."""
    if value is None:
        return "not finite"
    return f"{value:.{digits}%}" if is_share(name) else f"{value:.{digits + 2}g}"


def _named(name: str) -> MetricTitle | None:
    if match := re.fullmatch(r"top([1-9][0-9]{0,8})", name):
        return top_k(int(match[1]))
    return _BY_NAME.get(name)
