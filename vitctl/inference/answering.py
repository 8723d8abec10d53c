"""What a model answers to each image: everything that the metrics of a whole split are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import NDArray

from vitctl import losses, processes
from vitctl.data.batches import EvalBatch
from vitctl.inference.prediction import probabilities
from vitctl.inference.scoring import ScoredBatch, rows_of
from vitctl.inference.weights import applied, on_devices, one_behind
from vitctl.measures.answers import Answers
from vitctl.model import shapes
from vitctl.model.config import ModelConfig
from vitctl.processes.compile_barrier import in_step
from vitctl.sharding.layout import Layout


class Answered(NamedTuple):
    """A batch: `ScoredBatch`, and of each image what `Answers` has. `scores` is None where they
    are not kept."""

    rows: ScoredBatch
    ranked: Any
    confidence: Any
    squared_error: Any
    scores: Any


Answerer = Callable[[Any, Array, Array, Array], Answered]


@cache
def make_answerer(
    config: ModelConfig,
    *,
    loss: losses.Loss,
    precision: str,
    layout: Layout,
    top: int,
    among: tuple[int, ...] | None = None,
    keep_scores: bool = False,
) -> Answerer:
    """A compiled function of (params, images [b i j 3], labels [b l], mask [b]) giving `Answered`.

    `among`: the classes that may be answered; labels and answers are then places among these, and
    probabilities those of a model that has no others. `top`: how many classes are ranked.
    """
    frozen_apply = applied(config, precision=precision, layout=layout)
    chosen = None if among is None else np.asarray(among, np.int32)
    classes = config.classes if among is None else len(among)

    def answer(
        params: Any,
        images: Float[Array, "b i j 3"],
        labels: Int[Array, "b l"],
        mask: Bool[Array, " b"],
    ) -> Answered:
        logits = frozen_apply(params, images).logits
        if chosen is not None:
            logits = logits[:, chosen]
        rows = rows_of(logits, labels, mask, loss=loss)
        logits = logits.astype(jnp.float32)
        chances = probabilities(loss, logits)
        truth = losses.multi_hot(labels, classes=classes)
        return Answered(
            rows=rows,
            ranked=jax.lax.top_k(logits, min(top, classes))[1],
            confidence=jnp.max(chances, axis=-1),
            squared_error=jnp.sum((chances - truth) ** 2, axis=-1),
            scores=logits if keep_scores else None,
        )

    weights, split = layout.params(shapes.of_params(config)), layout.batch
    return in_step(
        jax.jit(
            answer, in_shardings=(weights, split, split, split), out_shardings=layout.replicated
        )
    )


def each(
    answerer: Answerer, params: Any, batches: Iterable[EvalBatch], *, layout: Layout
) -> Iterator[tuple[EvalBatch, Answered]]:
    """Every batch with what the model answered, as numpy arrays."""

    def dispatched() -> Iterator[tuple[EvalBatch, Answered]]:
        for batch in batches:
            yield batch, answerer(params, *on_devices(batch, layout=layout))

    for batch, batch_answers in one_behind(dispatched()):
        processes.mark("score")
        yield batch, jax.tree.map(np.asarray, batch_answers)


class Collected:
    """The answers to all images that have a label, in the order in which the batches come."""

    def __init__(self) -> None:
        self._parts: list[Answered] = []
        self._labels: list[NDArray[np.int32]] = []
        self._positions: list[NDArray[np.int64]] = []

    def add(self, batch: EvalBatch, batch_answers: Answered) -> None:
        counted = batch_answers.rows.counted
        self._parts.append(jax.tree.map(lambda values: values[counted], batch_answers))
        self._labels.append(batch.labels[counted])
        self._positions.append(batch.indices[counted])

    @property
    def positions(self) -> NDArray[np.int64]:
        """int64[n]: where in its split each image is."""
        return np.concatenate(self._positions)

    def answers(
        self, *, classes: int, loss: losses.Loss, own_labels: NDArray[np.int32] | None = None
    ) -> Answers:
        whole = jax.tree.map(lambda *parts: np.concatenate(parts), *self._parts)
        return Answers(
            labels=np.concatenate(self._labels),
            ranked=whole.ranked,
            confidence=whole.confidence,
            squared_error=whole.squared_error,
            loss=whole.rows.values["loss"],
            classes=classes,
            loss_name=loss,
            scores=whole.scores,
            own_labels=own_labels,
        )
