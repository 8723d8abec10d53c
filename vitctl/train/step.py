"""The pure train step: (state, batch, learning rate, step) -> (state, stats)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int

from vitctl import losses
from vitctl import mesh as meshes
from vitctl.model import vit
from vitctl.model.config import ModelConfig
from vitctl.optim import optimizer as optimizers
from vitctl.optim.config import OptimConfig
from vitctl.train import state as states
from vitctl.train.config import TrainConfig
from vitctl.train.state import TrainState

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


class Mixup(NamedTuple):
    """Mix each image with its neighbour; weights are a function of (seed, step)."""

    alpha: float
    seed: int


def make_step(cfg: TrainConfig, *, mesh: Mesh, remat: vit.Remat) -> Step:
    """The compiled step; it gives up the state. See the inner function for its arguments.

    The learning rate is an argument, so a trunk and all its cooldowns share one program.
    """
    alpha = cfg.data.augment.mixup_alpha
    return _compiled(
        cfg.model,
        cfg.optim,
        loss=cfg.loss,
        precision=cfg.precision,
        mixup=None if alpha is None else Mixup(alpha, cfg.seed),
        mesh=mesh,
        remat=remat,
    )


@cache
def _compiled(
    model: ModelConfig,
    optim: OptimConfig,
    *,
    loss: losses.Loss,
    precision: str,
    mixup: Mixup | None,
    mesh: Mesh,
    remat: vit.Remat,
) -> Step:
    update = states.optimizer_of(model, optim).update
    dtype = jnp.dtype(precision)

    def step(
        state: TrainState,
        images: Float[Array, "b i j 3"],
        labels: Int[Array, "b l"],
        lr: Float[Array, ""],
        index: Int[Array, ""],
    ) -> tuple[TrainState, StepStats]:
        targets = losses.multi_hot(labels, classes=model.classes)
        if mixup is not None:
            purpose = jax.random.fold_in(jax.random.key(mixup.seed), _MIXUP)
            key = jax.random.fold_in(purpose, index)
            images, targets = losses.mixup(images, targets, key=key, alpha=mixup.alpha)

        def loss_of(params: vit.Params) -> Float[Array, ""]:
            out = vit.apply(params, images, config=model, compute_dtype=dtype, remat=remat)
            return jnp.mean(losses.per_example(loss, out.logits, targets=targets))

        value, grads = jax.value_and_grad(loss_of)(state.params)
        updates, opt = update(grads, state.opt, state.params, lr=lr)
        params = jax.tree.map(jnp.add, state.params, updates)
        norms = optimizers.stats(grads=grads, updates=updates, params=state.params)

        # All that is logged: a norm that overflows is as much a divergence as a loss that does.
        finite = state.finite & jnp.all(jnp.isfinite(jnp.stack([value, *norms])))
        after = TrainState(params, opt, finite)
        kept = jax.tree.map(lambda new, old: jnp.where(finite, new, old), after, state)
        return kept._replace(finite=finite), StepStats(
            value, norms.grad_norm, norms.update_norm, norms.param_norm, finite
        )

    whole, split = meshes.replicated(mesh), meshes.split(mesh)
    return jax.jit(
        step,
        in_shardings=(whole, split, split, whole, whole),
        out_shardings=whole,
        donate_argnums=0,
    )
