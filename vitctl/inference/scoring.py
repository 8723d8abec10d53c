"""The mean of every metric over every example exactly once, whatever the batch size.

Images without any label are left out; one of several labels is enough to be right. That is how
ImageNet ReaL is scored (big_vision, evaluators/classification.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import NDArray

from vitctl import losses
from vitctl.artifacts.kinds import checkpoint
from vitctl.data.batches import EvalBatch
from vitctl.errors import InputError
from vitctl.inference.metrics import METRICS, Predictions
from vitctl.inference.weights import applied, on_devices, one_behind
from vitctl.model import shapes
from vitctl.model.config import ModelConfig
from vitctl.processes.compile_barrier import in_step
from vitctl.sharding.layout import Layout
from vitctl.text import strict_json


@dataclass(frozen=True)
class MeanScores:
    """Means of the metrics over `examples` labelled images."""

    means: Mapping[str, float]
    examples: int

    @property
    def is_finite(self) -> bool:
        """Whether the loss is: a finite weight may still be so large that a logit is not."""
        return all(map(math.isfinite, self.means.values()))

    def as_row(self) -> dict[str, float | int]:
        """The means by name, and how many images they are of."""
        return {**self.means, "examples": self.examples}

    def recorded(self) -> checkpoint.Scores:
        """As it is recorded: null for a loss that is not finite."""
        return checkpoint.Scores(**strict_json.finite(self.as_row()))


@dataclass(frozen=True)
class Scoring:
    """Scores of the weights as they are, and of their average where one is kept."""

    raw: MeanScores
    ema: MeanScores | None = None

    @property
    def is_finite(self) -> bool:
        return self.raw.is_finite and (self.ema is None or self.ema.is_finite)


class ScoredBatch(NamedTuple):
    """What the model made of each image of a batch. `counted`: it is an image and has a label;
    `values` has those of each metric."""

    counted: Any
    predicted: Any
    values: dict[str, Any]


def rows_of(
    logits: Float[Array, "b y"],
    labels: Int[Array, "b l"],
    mask: Bool[Array, " b"],
    *,
    loss: losses.Loss,
) -> ScoredBatch:
    """Bool [b] of counted, int32 [b] of the predicted class, bool or fp32 [b] of each metric."""
    targets = losses.multi_hot(labels, classes=logits.shape[-1])
    predictions = Predictions(logits, labels, targets, loss)
    return ScoredBatch(
        counted=mask & losses.has_label(labels),
        predicted=jnp.argmax(logits, axis=-1).astype(jnp.int32),
        values={name: metric(predictions) for name, metric in METRICS.items()},
    )


Scorer = Callable[[Any, Array, Array, Array], ScoredBatch]


@cache
def make_scorer(
    config: ModelConfig, *, loss: losses.Loss, precision: str, layout: Layout
) -> Scorer:
    """A compiled function of (params, images [b i j 3], labels [b l], mask [b]) giving a
    `ScoredBatch`."""
    frozen_apply = applied(config, precision=precision, layout=layout)

    def score(
        params: Any,
        images: Float[Array, "b i j 3"],
        labels: Int[Array, "b l"],
        mask: Bool[Array, " b"],
    ) -> ScoredBatch:
        return rows_of(frozen_apply(params, images).logits, labels, mask, loss=loss)

    weights, split = layout.params(shapes.of_params(config)), layout.batch
    return in_step(
        jax.jit(score, in_shardings=(weights, split, split, split), out_shardings=layout.replicated)
    )


class Tally:
    """Sums of `ScoredBatch`, in float64, so that their order hardly matters."""

    def __init__(self) -> None:
        self._sums: NDArray[np.float64] = np.zeros(1 + len(METRICS))

    @property
    def examples(self) -> int:
        return int(self._sums[0])

    def add(self, rows: ScoredBatch) -> None:
        values = (rows.counted, *(rows.values[name] for name in METRICS))
        self._sums += [np.sum(v[rows.counted], dtype=np.float64) for v in values]

    def scores(self) -> MeanScores:
        """Raises InputError if no image had a label."""
        if not self.examples:
            raise InputError("there is no labelled image to score")
        means = (self._sums[1:] / self.examples).tolist()
        return MeanScores(dict(zip(METRICS, means, strict=True)), self.examples)


def score(
    scorer: Scorer,
    params: Any,
    batches: Iterable[EvalBatch],
    *,
    layout: Layout,
    ema: Any = None,
    breaks_off: Callable[[], bool] = lambda: False,
) -> Scoring | None:
    """The scores of all batches together: of `params`, and of their average if it is given. Images
    are read and moved to the devices once. None if `breaks_off` said so after a batch."""
    weights = [params] if ema is None else [params, ema]
    tallies = [Tally() for _ in weights]

    def dispatched() -> Iterator[list[ScoredBatch]]:
        for batch in batches:
            arrays = on_devices(batch, layout=layout)
            yield [scorer(each_of, *arrays) for each_of in weights]

    for batch_scores in one_behind(dispatched()):
        for tally, rows in zip(tallies, batch_scores, strict=True):
            tally.add(jax.tree.map(np.asarray, rows))
        if breaks_off():
            return None
    return Scoring(*(tally.scores() for tally in tallies))
