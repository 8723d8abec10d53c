"""What a training step carries from one step to the next."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from vitctl.model import vit
from vitctl.model.config import ModelConfig
from vitctl.optim.config import OptimConfig
from vitctl.optim.optimizer import Optimizer, make
from vitctl.sharding.layout import Layout
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
    return param_shapes_of(cfg.model)


def optimizer(cfg: TrainConfig) -> Optimizer:
    """The optimizer of a run."""
    return optimizer_of(cfg.model, cfg.optim)


def shapes(cfg: TrainConfig) -> TrainState:
    """Shapes and types of the whole state; nothing is allocated."""
    return shapes_of(cfg.model, cfg.optim)


def shardings(cfg: TrainConfig, layout: Layout) -> Any:
    """How each array of the state lies on the devices: a TrainState of shardings."""
    return shardings_of(cfg.model, cfg.optim, layout)


def fresh(cfg: TrainConfig, *, layout: Layout) -> TrainState:
    """A new state drawn from `cfg.seed`, made where it is needed."""
    return with_params(cfg, drawn(cfg, layout=layout), layout=layout)


def drawn(cfg: TrainConfig, *, layout: Layout) -> vit.Params:
    """The weights that a training from scratch starts from."""
    return _draw(cfg.model, layout)(jax.random.key(cfg.seed))


def with_params(cfg: TrainConfig, params: Any, *, layout: Layout) -> TrainState:
    """A state that starts from given weights (on the devices) with a new optimizer."""
    opt = jax.jit(optimizer(cfg).init, out_shardings=shardings(cfg, layout).opt)(params)
    return TrainState(params=params, opt=opt, finite=layout.place(True))


# Several runs in one process (cooldowns of several trunks, say) trace each program once.


@cache
def param_shapes_of(model: ModelConfig) -> Any:
    """Shapes and types of a model's weights; nothing is allocated."""
    return jax.eval_shape(lambda: vit.init(model, key=jax.random.key(0)))


@cache
def optimizer_of(model: ModelConfig, optim: OptimConfig) -> Optimizer:
    """The optimizer for a model's parameters."""
    return make(optim, params=param_shapes_of(model))


@cache
def shapes_of(model: ModelConfig, optim: OptimConfig) -> TrainState:
    """Shapes and types of the whole state; nothing is allocated."""
    params = param_shapes_of(model)
    return TrainState(
        params=params,
        opt=jax.eval_shape(optimizer_of(model, optim).init, params),
        finite=jax.eval_shape(lambda: jnp.bool_(True)),
    )


@cache
def shardings_of(model: ModelConfig, optim: OptimConfig, layout: Layout) -> Any:
    """How each array of the state lies on the devices: a TrainState of shardings."""
    shapes = shapes_of(model, optim)
    params = layout.params(shapes.params)
    opt = layout.opt(shapes.opt, params=shapes.params)
    finite: Any = layout.replicated
    return TrainState(params, opt, finite)


@cache
def _draw(model: ModelConfig, layout: Layout) -> Callable[[Array], vit.Params]:
    """A CPU compiles all its random numbers for 8.2 s and uses them once; without optimisation it
    takes 2.7 s (measured on four layers, 2026-11-24)."""
    on_cpu = layout.mesh.devices.flat[0].platform == "cpu"
    return jax.jit(
        partial(_init, model),
        out_shardings=layout.params(param_shapes_of(model)),
        compiler_options={"xla_backend_optimization_level": 0} if on_cpu else None,
    )


def _init(model: ModelConfig, key: Array) -> vit.Params:
    return vit.init(model, key=key)
