"""Loss, top-1 and top-5 over every example exactly once, whatever the batch size.

Images without any label are left out; one of several labels is enough to be right. That is how
ImageNet ReaL is scored (big_vision, evaluators/classification.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int

from vitctl import losses
from vitctl import mesh as meshes
from vitctl.data.batches import EvalBatch
from vitctl.errors import InputError
from vitctl.model import vit
from vitctl.model.config import ModelConfig


@dataclass(frozen=True)
class Scores:
    """Means over `examples` labelled images."""

    top1: float
    top5: float
    loss: float
    examples: int

    def as_json(self) -> dict[str, float | int]:
        return asdict(self)


Scorer = Callable[[Any, Array, Array, Array], Array]


def make_scorer(config: ModelConfig, *, loss: losses.Loss, precision: str, mesh: Mesh) -> Scorer:
    """A compiled function of (params, images [b i j 3], labels [b l], mask [b]) giving per-example
    (counted, top-1, top-5, loss) as fp32 [4 b]."""
    dtype = jnp.dtype(precision)

    def score(
        params: Any,
        images: Float[Array, "b i j 3"],
        labels: Int[Array, "b l"],
        mask: Bool[Array, " b"],
    ) -> Float[Array, "4 b"]:
        logits = vit.apply(params, images, config=config, compute_dtype=dtype).logits
        counted = mask & losses.has_label(labels)
        targets = losses.multi_hot(labels, classes=config.classes)
        values = (
            jnp.ones_like(counted),
            losses.top_k_correct(logits, labels, k=1),
            losses.top_k_correct(logits, labels, k=5),
            losses.per_example(loss, logits, targets=targets),
        )
        return jnp.stack([jnp.where(counted, v.astype(jnp.float32), 0.0) for v in values])

    whole, split = meshes.replicated(mesh), meshes.split(mesh)
    return jax.jit(score, in_shardings=(whole, split, split, split), out_shardings=whole)


def score(scorer: Scorer, params: Any, batches: Iterable[EvalBatch], *, mesh: Mesh) -> Scores:
    """Run over all batches. Sums are float64 on the host, so their order does not matter much.

    `top5` of fewer than five classes is 1 for every example, as any answer is among the five.
    """
    split = meshes.split(mesh)
    total = np.zeros(4, np.float64)
    for batch in batches:
        parts = meshes.place((batch.images, batch.labels, batch.mask), split)
        total += np.asarray(scorer(params, *parts), np.float64).sum(axis=1)
    count = int(total[0])
    if not count:
        raise InputError("there is no labelled image to score")
    top1, top5, loss = total[1:] / count
    return Scores(top1=float(top1), top5=float(top5), loss=float(loss), examples=count)
