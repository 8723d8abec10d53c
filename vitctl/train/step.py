"""The pure train step: (state, batch, learning rate, step) -> (state, stats)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int

from vitctl import losses
from vitctl import mesh as meshes
from vitctl.model import vit
from vitctl.optim import optimizer as optimizers
from vitctl.train.config import TrainConfig
from vitctl.train.state import TrainState, optimizer

# Purposes of randomness inside the step; the weights take the seed's key itself.
_MIXUP = 1


class StepStats(NamedTuple):
    """Scalars of one step, fp32. Norms as in `vitctl.optim.optimizer.stats`."""

    loss: Float[Array, ""]
    grad_norm: Float[Array, ""]
    update_norm: Float[Array, ""]
    param_norm: Float[Array, ""]
    finite: Bool[Array, ""]


Step = Callable[[TrainState, Array, Array, Array, Array], tuple[TrainState, StepStats]]


def make_step(cfg: TrainConfig, *, mesh: Mesh, remat: vit.Remat) -> Step:
    """The compiled step; it gives up the state. See the inner function for its arguments.

    The learning rate is an argument, so a trunk and all its cooldowns share one program.
    """
    update = optimizer(cfg).update
    dtype = jnp.dtype(cfg.precision)
    alpha = cfg.data.augment.mixup_alpha

    def step(
        state: TrainState,
        images: Float[Array, "b i j 3"],
        labels: Int[Array, "b l"],
        lr: Float[Array, ""],
        index: Int[Array, ""],
    ) -> tuple[TrainState, StepStats]:
        targets = losses.multi_hot(labels, classes=cfg.model.classes)
        if alpha is not None:
            purpose = jax.random.fold_in(jax.random.key(cfg.seed), _MIXUP)
            key = jax.random.fold_in(purpose, index)
            images, targets = losses.mixup(images, targets, key=key, alpha=alpha)

        def loss_of(params: object) -> Float[Array, ""]:
            out = vit.apply(params, images, config=cfg.model, compute_dtype=dtype, remat=remat)
            return jnp.mean(losses.per_example(cfg.loss, out.logits, targets=targets))

        loss, grads = jax.value_and_grad(loss_of)(state.params)
        updates, opt = update(grads, state.opt, state.params, lr=lr)
        params = jax.tree.map(jnp.add, state.params, updates)
        norms = optimizers.stats(grads=grads, updates=updates, params=state.params)

        finite = state.finite & jnp.isfinite(loss) & jnp.isfinite(norms.grad_norm)
        after = TrainState(params, opt, finite)
        kept = jax.tree.map(lambda new, old: jnp.where(finite, new, old), after, state)
        return kept._replace(finite=finite), StepStats(
            loss, norms.grad_norm, norms.update_norm, norms.param_norm, finite
        )

    whole, split = meshes.replicated(mesh), meshes.split(mesh)
    return jax.jit(
        step,
        in_shardings=(whole, split, split, whole, whole),
        out_shardings=whole,
        donate_argnums=0,
    )
