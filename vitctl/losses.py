"""Losses and what changes their targets (smoothing, class balance, mixup), and top-k correctness,
for single and multiple labels an image.

Labels arrive as int32 [b, l], padded with -1 (an image has one, several or no label), and become
multi-hot targets [b, y] inside the step, where the compiler fuses them away. Losses are per
example, so that padded evaluation batches can be masked; training takes their mean.
"""

from __future__ import annotations

from typing import assert_never

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray
from numpy.typing import NDArray

from vitctl.model.config import Loss


def multi_hot(labels: Int[Array, "b l"], *, classes: int) -> Float[Array, "b y"]:
    """1 where a class is among the labels, else 0. Padding (-1) is no class."""
    return jnp.max(jax.nn.one_hot(labels, classes, dtype=jnp.float32), axis=1)


def per_example(
    loss: Loss, logits: Float[Array, "b y"], *, targets: Float[Array, "b y"]
) -> Float[Array, " b"]:
    """The named loss of each example, in fp32."""
    match loss:
        case "sigmoid":
            return sigmoid_xent(logits, targets=targets)
        case "softmax":
            return softmax_xent(logits, targets=targets)
        case _:
            assert_never(loss)


def sigmoid_xent(
    logits: Float[Array, "b y"], *, targets: Float[Array, "b y"]
) -> Float[Array, " b"]:
    """Binary cross-entropy of every class, summed over classes: the paper's pretraining loss."""
    logits, targets = logits.astype(jnp.float32), targets.astype(jnp.float32)
    on, off = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    return -jnp.sum(targets * on + (1.0 - targets) * off, axis=-1)


def softmax_xent(
    logits: Float[Array, "b y"], *, targets: Float[Array, "b y"]
) -> Float[Array, " b"]:
    """Cross-entropy with the targets normalised to sum to 1; an example without labels costs 0."""
    logits, targets = logits.astype(jnp.float32), targets.astype(jnp.float32)
    return -jnp.sum(_summing_to_1(targets) * jax.nn.log_softmax(logits, axis=-1), axis=-1)


def _summing_to_1(targets: Float[Array, "b y"]) -> Float[Array, "b y"]:
    total = jnp.sum(targets, axis=-1, keepdims=True)
    return targets / jnp.where(total > 0.0, total, 1.0)


def smoothed(loss: Loss, targets: Float[Array, "b y"], *, by: float) -> Float[Array, "b y"]:
    """(1 - by) · targets + by / classes (https://arxiv.org/abs/1512.00567, section 7), of softmax's
    targets after they are made to sum to 1. An example without labels has none afterwards, either.
    """
    match loss:
        case "sigmoid":
            ...
        case "softmax":
            targets = _summing_to_1(targets)
        case _:
            assert_never(loss)
    labelled = jnp.any(targets > 0.0, axis=-1, keepdims=True)
    return (1.0 - by) * targets + jnp.where(labelled, by / targets.shape[-1], 0.0)


def balanced_weights(counts: NDArray[np.int64], *, beta: float) -> NDArray[np.float64]:
    """Class-balanced weights (Cui et al., https://arxiv.org/abs/1901.05555, section 4): of a class
    of n images (1 - beta) / (1 - beta^n), scaled so that they sum to the number of classes.

    Near beta = 1 that is 1 / n, at 0 the same for all. A class without images weighs nothing, and
    is none of those that the sum counts.
    """
    present = counts > 0
    weights = np.zeros(len(counts))
    # expm1: 1 - beta^n would lose half its digits at beta = 0.9999.
    weights[present] = (1.0 - beta) / -np.expm1(counts[present] * np.log(beta))
    return weights * (present.sum() / weights.sum()) if present.any() else weights


def example_weights(
    targets: Float[Array, "b y"], *, weights: Float[Array, " y"]
) -> Float[Array, " b"]:
    """The mean weight of an example's labels, by their shares of a mixture; 1 without labels."""
    total = jnp.sum(targets, axis=-1)
    mean = targets @ weights / jnp.where(total > 0.0, total, 1.0)
    return jnp.where(total > 0.0, mean, 1.0)


def mixup(
    images: Float[Array, "b i j 3"],
    targets: Float[Array, "b y"],
    *,
    key: PRNGKeyArray,
    alpha: float,
) -> tuple[Float[Array, "b i j 3"], Float[Array, "b y"]]:
    """Mix each example with its neighbour (https://arxiv.org/abs/1710.09412).

    One weight a step, see `mixup_weight`.
    """
    weight = mixup_weight(key, alpha=alpha)
    return mix(images, weight=weight), mix(targets, weight=weight)


def mixup_weight(key: PRNGKeyArray, *, alpha: float) -> Float[Array, ""]:
    """w = max(v, 1 - v) with v ~ Beta(alpha, alpha), so each example dominates its mixture."""
    v = jax.random.beta(key, alpha, alpha, dtype=jnp.float32)
    return jnp.maximum(v, 1.0 - v)


def mix(
    x: Float[Array, "b *rest"],  # noqa: F821 - names of axes
    *,
    weight: Float[Array, ""],
) -> Float[Array, "b *rest"]:  # noqa: F821
    """weight · each example + (1 - weight) · the previous example of the *global* batch.

    So the partner is the same on any number of devices; big_vision rolls inside each device's
    share.
    """
    weight = weight.astype(x.dtype)
    return weight * x + (1.0 - weight) * jnp.roll(x, 1, axis=0)


def has_label(labels: Int[Array, "b l"]) -> Bool[Array, " b"]:
    """Which examples have any label; the others are left out of scores (so ReaL is scored)."""
    return jnp.any(labels >= 0, axis=1)


def top_k_correct(
    logits: Float[Array, "b y"], labels: Int[Array, "b l"], *, k: int
) -> Bool[Array, " b"]:
    """Whether any label is among the k largest logits; ties go to the lower class index."""
    best = jax.lax.top_k(logits, min(k, logits.shape[-1]))[1]
    hit = (best[:, :, None] == labels[:, None, :]) & (labels >= 0)[:, None, :]
    return jnp.any(hit, axis=(1, 2))
