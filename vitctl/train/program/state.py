"""What a training step carries from one step to the next."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from vitctl.model import part, vit
from vitctl.model import shapes as model_shapes
from vitctl.model.config import ModelConfig
from vitctl.optim import average, part_state, spikes
from vitctl.optim.average import Average
from vitctl.optim.config import OptimConfig
from vitctl.optim.optimizer import Optimizer, make
from vitctl.optim.per_layer import PerLayerState
from vitctl.optim.spikes import NormHistory
from vitctl.sharding.layout import Layout
from vitctl.train.config import TrainConfig


class TrainState(NamedTuple):
    """Weights, optimizer state, and whether every gradient so far was finite; with `optim.ema` the
    average of the weights, with `optim.skip_spikes` the recent gradient norms.

    Once `finite` is False no later step changes anything: what is saved after a divergence is
    exactly the state before it, however many steps were already under way.
    """

    params: Any
    opt: Any
    finite: Bool[Array, ""]
    average: Average | None = None
    norms: NormHistory | None = None


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
    mean, norms = beside(cfg, params, layout=layout)
    return TrainState(params, opt, finite=layout.place(True), average=mean, norms=norms)


def frozen(cfg: TrainConfig, patterns: tuple[str, ...]) -> TrainConfig:
    """The same run with those parameters held constant."""
    return cfg.model_copy(update={"optim": cfg.optim.model_copy(update={"freeze": patterns})})


def converted(
    opt: PerLayerState, params: vit.Params, *, before: TrainConfig, after: TrainConfig
) -> PerLayerState:
    """The optimizer's state of a run with other frozen parameters; a new one for what was frozen
    `before` and is trained `after`."""
    new = optimizer(frozen(after, ())).init(params)
    whole = part_state.of_all(opt, layers=optimizer(before).layers, new=new)
    return part_state.of_part(whole, layers=optimizer(after).layers, like=shapes(after).opt)


def beside(
    cfg: TrainConfig, params: Any, *, layout: Layout
) -> tuple[Average | None, NormHistory | None]:
    """What a run that starts from these weights keeps beside them: their average, its norms."""
    wanted, mean, norms = shardings(cfg, layout), None, None
    if cfg.optim.ema is not None:
        mean = jax.jit(average.initial, out_shardings=wanted.average)(params)
    if cfg.optim.skip_spikes is not None:
        norms = layout.place(spikes.initial())
    return mean, norms


def advance(
    state: TrainState,
    *,
    params: Any,
    opt: Any,
    finite: Bool[Array, ""],
    grad_norm: Float[Array, ""],
    optim: OptimConfig,
) -> TrainState:
    """The state after an update to `params` and `opt`; as it was if that is left out, because
    something was not `finite` or the gradient norm is a spike."""
    applied, norms, mean = finite, None, None
    if state.norms is not None and optim.skip_spikes is not None:
        spike, history = spikes.judge(state.norms, grad_norm, sigmas=optim.skip_spikes)
        applied, norms = finite & ~spike, _where(finite, history, state.norms)
    if state.average is not None and optim.ema is not None:
        mean = average.update(state.average, params, decay=optim.ema)
        mean = _where(applied, mean, state.average)
    return TrainState(
        params=_where(applied, params, state.params),
        opt=_where(applied, opt, state.opt),
        finite=finite,
        average=mean,
        norms=norms,
    )


def _where(condition: Bool[Array, ""], new: Any, old: Any) -> Any:
    """`new` or `old`, a whole tree of them."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


# Several runs in one process (cooldowns of several trunks, say) trace each program once.


@cache
def optimizer_of(model: ModelConfig, optim: OptimConfig) -> Optimizer:
    """The optimizer for a model's parameters."""
    return make(optim, params=model_shapes.of_params(model))


@cache
def shapes_of(model: ModelConfig, optim: OptimConfig) -> TrainState:
    """Shapes and types of the whole state; nothing is allocated."""
    params = model_shapes.of_params(model)
    return TrainState(
        params=params,
        opt=jax.eval_shape(optimizer_of(model, optim).init, params),
        finite=jax.eval_shape(lambda: jnp.bool_(True)),
        average=None if optim.ema is None else jax.eval_shape(average.initial, params),
        norms=None if optim.skip_spikes is None else jax.eval_shape(spikes.initial),
    )


@cache
def trained_shapes_of(model: ModelConfig, optim: OptimConfig) -> vit.Params:
    """Shapes and types of the parameters that are trained: what there are gradients of."""
    params, layers = model_shapes.of_params(model), optimizer_of(model, optim).layers
    return params if layers is None else jax.eval_shape(lambda x: part.take(x, layers), params)


@cache
def shardings_of(model: ModelConfig, optim: OptimConfig, layout: Layout) -> Any:
    """How each array of the state lies on the devices: a TrainState of shardings."""
    shapes = shapes_of(model, optim)
    params = layout.params(shapes.params)
    opt = layout.opt(shapes.opt, params=trained_shapes_of(model, optim))
    whole: Any = layout.replicated
    mean = None if shapes.average is None else Average(params, whole)
    norms = jax.tree.map(lambda x: whole, shapes.norms)
    return TrainState(params, opt, finite=whole, average=mean, norms=norms)


@cache
def _draw(model: ModelConfig, layout: Layout) -> Callable[[Array], vit.Params]:
    """A CPU compiles all its random numbers for 8.2 s and uses them once; without optimisation it
    takes 2.7 s (measured on four layers, 2026-11-24)."""
    on_cpu = layout.mesh.devices.flat[0].platform == "cpu"
    return jax.jit(
        partial(_init, model),
        out_shardings=layout.params(model_shapes.of_params(model)),
        compiler_options={"xla_backend_optimization_level": 0} if on_cpu else None,
    )


def _init(model: ModelConfig, key: Array) -> vit.Params:
    return vit.init(model, key=key)
