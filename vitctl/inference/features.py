"""Features that a frozen model computes of images: `pre_logits`, which its classifier sees, or
tokens on the way there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from vitctl import processes
from vitctl.data.batches import EvalBatch
from vitctl.inference.weights import applied, one_behind
from vitctl.model import shapes
from vitctl.model.config import ModelConfig
from vitctl.model.feature_point import Point
from vitctl.model.roles import STACKED
from vitctl.processes.compile_barrier import in_step
from vitctl.sharding.layout import Layout

Extractor = Callable[[Any, Array], Array]

_PRE_LOGITS = Point(None, pooled=True)


@cache
def make_extractor(
    config: ModelConfig, *, precision: str, layout: Layout, at: Point = _PRE_LOGITS
) -> Extractor:
    """A compiled function of (params, images [b i j 3]) giving fp32 features [b e], on every
    device; `width_at` says how many. What comes after the point is not computed."""
    passed = config if at.blocks is None else config.model_copy(update={"depth": at.blocks})
    run = applied(passed, precision=precision, layout=layout)

    def features(params: Any, images: Float[Array, "b i j 3"]) -> Float[Array, "b e"]:
        if at.blocks is not None:
            first = jax.tree.map(lambda layers: layers[: at.blocks], params[STACKED])
            params = {**params, STACKED: first}
        outputs = run(params, images)
        if at.pooled:
            return outputs.pre_logits
        return jnp.mean(outputs.encoded[:, config.prefix :], axis=1)

    weights = layout.params(shapes.of_params(config))
    return in_step(
        jax.jit(features, in_shardings=(weights, layout.batch), out_shardings=layout.replicated)
    )


def width_at(config: ModelConfig, at: Point) -> int:
    """Numbers an image."""
    return config.features if at.pooled else config.width


def of_model(
    extractor: Extractor, params: Any, batches: Iterable[EvalBatch], *, layout: Layout
) -> Iterator[NDArray[np.float32]]:
    """float32[n, e] a batch, in the order of the batches; rows that fill up are left out."""

    def dispatched() -> Iterator[tuple[Array, NDArray[np.bool_]]]:
        for batch in batches:
            yield extractor(params, layout.place_batch(batch.images)), batch.mask

    for features, mask in one_behind(dispatched()):
        processes.mark("score")
        yield np.asarray(features)[mask]


def of_pixels(batches: Iterable[EvalBatch], *, layout: Layout) -> Iterator[NDArray[np.float32]]:
    """float32[n, i j 3] a batch: the image itself, the baseline every model should beat."""
    gather = in_step(jax.jit(lambda images: images, out_shardings=layout.replicated))
    for batch in batches:
        images = batch.images
        if layout.mesh.is_multi_process:  # the others read the rest of it
            images = np.asarray(gather(layout.place_batch(images)))
        yield images[batch.mask].reshape(int(batch.mask.sum()), -1)


def gathered(
    parts: Iterable[NDArray[np.float32]],
    *,
    examples: int,
    width: int,
    progress: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float32]:
    """The parts as one float32[examples, width]; `progress` gets the number of rows so far."""
    out = np.empty((examples, width), np.float32)
    done = 0
    for part in parts:
        out[done : done + len(part)] = part
        done += len(part)
        progress(done)
    if done != examples:
        raise ValueError(f"expected features of {examples} images, got {done}")
    return out
