"""What a model is scored by: for each metric a value an image, whose mean over images is recorded.

These are what training needs as it goes; `metrics.jsonl`, TensorBoard and the terminal show them.
What `vitctl evaluate` measures besides is in `vitctl.measures.metrics`, the titles of all in
`vitctl.measures.metric_titles`. A new one here is an entry, its title, and a field of
`vitctl.artifacts.kinds.checkpoint.Scores`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from jaxtyping import Array, Bool, Float, Int

from vitctl import losses


class Predictions(NamedTuple):
    """What a metric may need. `labels` are padded with -1, `targets` has 1 for the classes in them;
    `loss` names the one that the model was trained with."""

    logits: Float[Array, "b y"]
    labels: Int[Array, "b l"]
    targets: Float[Array, "b y"]
    loss: losses.Loss


PerImage = Bool[Array, " b"] | Float[Array, " b"]


def _correct(of: Predictions, *, k: int) -> Bool[Array, " b"]:
    return losses.top_k_correct(of.logits, of.labels, k=k)


def _loss(of: Predictions) -> Float[Array, " b"]:
    return losses.per_example(of.loss, of.logits, targets=of.targets)


METRICS: dict[str, Callable[[Predictions], PerImage]] = {
    "top1": partial(_correct, k=1),
    "top5": partial(_correct, k=5),  # of fewer than five classes 1: any answer is among the five
    "loss": _loss,
}
"""By the name of the field that records the mean. What is not needed is not computed."""
