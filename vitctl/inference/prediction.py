"""The likeliest classes of images, and their probabilities."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, assert_never

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vitctl.inference.weights import applied
from vitctl.model import shapes
from vitctl.model.config import Loss, ModelConfig
from vitctl.processes.compile_barrier import in_step
from vitctl.sharding.layout import Layout


class Likeliest(NamedTuple):
    """Of each image the k likeliest classes: fp32 [b k] probabilities, falling, and int32 [b k]
    classes; among equals the lower class first."""

    probabilities: Any
    classes: Any


Predictor = Callable[[Any, Array], Likeliest]


def probabilities(loss: Loss, logits: Float[Array, "b y"]) -> Float[Array, "b y"]:
    """What the loss makes of logits: with "softmax" they sum to 1, with "sigmoid" each class has
    its own, whatever the others have."""
    match loss:
        case "softmax":
            return jax.nn.softmax(logits.astype(jnp.float32), axis=-1)
        case "sigmoid":
            return jax.nn.sigmoid(logits.astype(jnp.float32))
        case _:
            assert_never(loss)


@cache
def make_predictor(
    config: ModelConfig, *, loss: Loss, top: int, precision: str, layout: Layout
) -> Predictor:
    """A compiled function of (params, images [b i j 3]) giving the `top` likeliest classes, or all
    if there are fewer."""
    frozen_apply = applied(config, precision=precision, layout=layout)

    def predict(params: Any, images: Float[Array, "b i j 3"]) -> Likeliest:
        likely = probabilities(loss, frozen_apply(params, images).logits)
        return Likeliest(*jax.lax.top_k(likely, min(top, config.classes)))

    weights = layout.params(shapes.of_params(config))
    return in_step(
        jax.jit(predict, in_shardings=(weights, layout.batch), out_shardings=layout.replicated)
    )
