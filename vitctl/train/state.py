"""What a training step carries from one step to the next."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from vitctl.model import vit
from vitctl.optim.optimizer import Optimizer, make
from vitctl.train.config import TrainConfig


class TrainState(NamedTuple):
    """Weights, optimizer state, and whether every gradient so far was finite.

    Once `finite` is False no later step changes anything: what is saved after a divergence is
    exactly the state before it, however many steps were already under way.
    """

    params: Any
    opt: Any
    finite: Bool[Array, ""]


def param_shapes(cfg: TrainConfig) -> Any:
    """Shapes and types of the weights; nothing is allocated."""
    return jax.eval_shape(lambda: vit.init(cfg.model, key=jax.random.key(0)))


def optimizer(cfg: TrainConfig) -> Optimizer:
    return make(cfg.optim, params=param_shapes(cfg))


def shapes(cfg: TrainConfig) -> TrainState:
    """Shapes and types of the whole state; nothing is allocated."""
    params = param_shapes(cfg)
    return TrainState(
        params=params,
        opt=jax.eval_shape(make(cfg.optim, params=params).init, params),
        finite=jax.ShapeDtypeStruct((), jnp.bool_),
    )


def fresh(cfg: TrainConfig, *, sharding: jax.sharding.Sharding) -> TrainState:
    """A new state drawn from `cfg.seed`, made where it is needed."""
    init = optimizer(cfg).init

    def build(key: Array) -> TrainState:
        params = vit.init(cfg.model, key=key)
        return TrainState(params=params, opt=init(params), finite=jnp.bool_(True))

    return jax.jit(build, out_shardings=sharding)(jax.random.key(cfg.seed))


def with_params(cfg: TrainConfig, params: Any, *, sharding: jax.sharding.Sharding) -> TrainState:
    """A state that starts from given weights with a new optimizer."""
    opt = jax.jit(optimizer(cfg).init, out_shardings=sharding)(params)
    return TrainState(params=params, opt=opt, finite=jax.device_put(jnp.bool_(True), sharding))
