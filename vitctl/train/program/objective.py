"""What a train step learns: the classes of images, or the symbols of masked sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from vitctl import losses
from vitctl.model import vit
from vitctl.model.config import Loss, ModelConfig
from vitctl.sharding.layout import Layout
from vitctl.train.program.run_numbers import RunNumbers, mixup_key


@dataclass(frozen=True)
class ImageClasses:
    """The classes of an image, given as int32[b, l], padded with -1.

    With `mixup_alpha` each image is mixed with its neighbour; weights are a function of
    (seed, step).
    """

    loss: Loss
    mixup_alpha: float | None = None
    smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None

    def prepared(
        self,
        inputs: Float[Array, "b i j 3"],
        labels: Int[Array, "b l"],
        *,
        index: Int[Array, ""],
        numbers: RunNumbers,
        model: ModelConfig,
        layout: Layout,
    ) -> tuple[Float[Array, "b i j 3"], Float[Array, "b y"]]:
        targets = layout.constrain(losses.multi_hot(labels, classes=model.classes), "by")
        if self.mixup_alpha is None:
            return inputs, targets
        key = mixup_key(numbers.mixup, index)
        return losses.mixup(inputs, targets, key=key, alpha=self.mixup_alpha)

    def images(
        self, inputs: Float[Array, "b i j 3"], *, model: ModelConfig
    ) -> Float[Array, "b i j 3"]:
        del model
        return inputs

    def per_example(
        self, out: vit.Outputs, targets: Float[Array, "b y"], *, head: Any
    ) -> Float[Array, " b"]:
        del head
        wanted = (
            losses.smoothed(self.loss, targets, by=self.smoothing) if self.smoothing else targets
        )
        each = losses.per_example(self.loss, out.logits, targets=wanted)
        if self.class_weights is None:
            return each
        balance = jnp.asarray(np.asarray(self.class_weights, np.float32))
        return each * losses.example_weights(targets, weights=balance)


@dataclass(frozen=True)
class MaskedSymbols:
    """The symbols of a sequence that are hidden from the model: int32[b, n], -1 where nothing is
    asked. Inputs are int32[b, n], a symbol a patch (`vitctl.data.sequences`).

    The model is one of `vitctl.train.run.procedural`, to whose patch embedding each symbol is a
    patch of zeros and one 1: the rows of its kernel are the embeddings of the symbols.
    """

    def prepared(
        self,
        inputs: Int[Array, "b n"],
        labels: Int[Array, "b n"],
        *,
        index: Int[Array, ""],
        numbers: RunNumbers,
        model: ModelConfig,
        layout: Layout,
    ) -> tuple[Int[Array, "b n"], Int[Array, "b n"]]:
        del index, numbers, model, layout
        return inputs, labels

    def images(self, inputs: Int[Array, "b n"], *, model: ModelConfig) -> Float[Array, "b i j 3"]:
        grid, patch = model.grid, model.patch
        each = jax.nn.one_hot(inputs, patch * patch * 3, dtype=jnp.float32)
        each = each.reshape(-1, grid, grid, patch, patch, 3).transpose(0, 1, 3, 2, 4, 5)
        return each.reshape(-1, grid * patch, grid * patch, 3)

    def per_example(
        self, out: vit.Outputs, targets: Int[Array, "b n"], *, head: Any
    ) -> Float[Array, " b"]:
        """The mean over what is asked of a sequence; 0 where nothing is."""
        logits = jnp.einsum("bnd,dy->bny", out.encoded, head["kernel"]) + head["bias"][None, None]
        is_hidden = targets >= 0
        right = jnp.maximum(targets, 0)[..., None]
        each = -jnp.take_along_axis(jax.nn.log_softmax(logits), right, axis=-1)[..., 0]
        count = jnp.maximum(jnp.sum(is_hidden, axis=-1, dtype=jnp.float32), 1.0)
        return jnp.sum(jnp.where(is_hidden, each, 0.0), axis=-1) / count


Objective = ImageClasses | MaskedSymbols
"""Each has

    prepared      what the model is given and what it is to answer, of a whole batch before it is
                  taken apart; both have one row an example
    images        what the model is shown of (a part of) what it is given
    per_example   the loss of each example; `head` are the classifier's weights

and is hashable, as programs are cached by it.
"""
