"""The optimizers, put together from optax's parts.

    clip by global norm -> direction (per layer) -> + decay · parameter -> · -lr · share

The learning rate is an argument of `update`: computed on the host in float64 and rounded once, it
makes a trunk and its cooldowns share one compiled program. So may the decays be, for runs that
differ in them. The share is 1 but for `layer_decay`
(`vitctl.optim.rates`). What `freeze` holds constant has no gradient, update or state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, assert_never

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from vitctl.model import part as parts
from vitctl.model.part import Layers
from vitctl.model.roles import STACKED
from vitctl.optim import decay, rates
from vitctl.optim.config import OptimConfig
from vitctl.optim.decay import Decays
from vitctl.optim.momentum import momentum
from vitctl.optim.per_layer import PerLayerState, per_layer
from vitctl.optim.rates import Shares

Params = Any

MIN_FACTORED_DIM = 32
"""big_vision `optax.py`: an array is factored over its two largest axes if both reach this."""

ADAFACTOR_EPSILON = 1e-30
"""Added to squared gradients before averaging (https://arxiv.org/abs/1804.04235, section 8)."""


class UpdateFunction(Protocol):
    def __call__(
        self,
        grads: Params,
        state: PerLayerState,
        part: Params,
        *,
        lr: Any,
        decays: Decays | None = None,
    ) -> tuple[Params, PerLayerState]: ...


class Optimizer(NamedTuple):
    """A pure pair: `init(params) -> state` and `update(grads, state, part, lr=)`.

    `update` returns (updates, state); updates are to be added to the parameters. `lr` is a scalar,
    traced or not. So are `decays`; without them those of the configuration apply, and what these do
    not decay is never decayed. `layers` are the parameters that are trained, where some are not:
    `grads`, `part` and updates have only those, as `vitctl.model.part.take` gives them. `init`
    takes all.
    """

    init: Any
    update: UpdateFunction
    layers: Layers | None


class Stats(NamedTuple):
    """Global norms of one step, fp32."""

    grad_norm: Float[Array, ""]
    update_norm: Float[Array, ""]
    param_norm: Float[Array, ""]


def make(config: OptimConfig, *, params: Params) -> Optimizer:
    """The optimizer of `config` for parameters shaped like `params` (arrays or their shapes).

    Statistics are per layer although blocks are stacked. Everything is traceable, so
    `jax.eval_shape(make(...).init, params)` gives the state's shapes without allocating.

    Raises:
      ValueError: some parameter is covered by no rule of decay or depth, or `config.freeze` is of
        no use (`vitctl.optim.rates`).
    """
    by_decay = decay.decays(names(params), of=Decays.of(config))
    by_share = _shares(params, config=config)
    layers = rates.trained_layers(by_share) if config.freeze else None

    def trained(params: Params) -> Params:
        return params if layers is None else parts.take(params, layers)

    like = jax.eval_shape(trained, params)
    decayed = _as_tree({name: own > 0.0 for name, own in by_decay.items()}, like=like)
    own_shares = _as_tree(_of_trained(by_share, layers), like=like)
    off = config.clip_norm is None
    clip = optax.identity() if off else optax.clip_by_global_norm(config.clip_norm)
    direction = per_layer(_direction(config), stacked=STACKED, layers=layers)

    def init(params: Params) -> PerLayerState:
        return direction.init(trained(params))

    def update(
        grads: Params,
        state: PerLayerState,
        part: Params,
        *,
        lr: Any,
        decays: Decays | None = None,
    ) -> tuple[Params, PerLayerState]:
        given = decay.decays(names(like), of=Decays.of(config) if decays is None else decays)
        rate = jnp.asarray(lr, jnp.float32)
        grads, _ = clip.update(grads, optax.EmptyState())
        directions, state = direction.update(grads, state, part)

        def step(u: Array, p: Array, is_decayed: bool, by: Any, share: Any) -> Array:
            u = u.astype(jnp.float32)
            own = rates.scaled(rate, share, ndim=p.ndim)
            return -own * (u + by * p if is_decayed else u)

        by = _as_tree(given, like=like)
        return jax.tree.map(step, directions, part, decayed, by, own_shares), state

    return Optimizer(init=init, update=update, layers=layers)


def decay_table(params: Params, *, config: OptimConfig) -> dict[str, float]:
    """The decay of each parameter by name, e.g. {"head/kernel": 3.0, "head/bias": 0.0, ...}."""
    return decay.decays(names(params), of=Decays.of(config))


def shares(params: Params, *, config: OptimConfig) -> Any:
    """The share of the learning rate that each parameter takes: a tree like `params` of float64[],
    or of float64[L] for stacked layers. ValueError as `rates.shares`."""
    return _as_tree(_shares(params, config=config), like=params)


def _shares(params: Params, *, config: OptimConfig) -> Shares:
    by_shape = dict(zip(names(params), (p.shape for p in jax.tree.leaves(params)), strict=True))
    return rates.shares(by_shape, config=config)


def _of_trained(shares: Shares, layers: Layers | None) -> Shares:
    """The shares of what is trained, each of its trained layers alone."""
    if layers is None:
        return shares
    return {
        name: shares[name][list(rows)] if rows else shares[name] for name, rows in layers.items()
    }


def names(params: Params) -> list[str]:
    """The "/"-joined name of every leaf, in tree order."""
    paths = jax.tree_util.tree_flatten_with_path(params)[0]
    return ["/".join(str(key.key) for key in path) for path, _ in paths]


def stats(*, grads: Params, updates: Params, params: Params) -> Stats:
    """Norms for the metrics: gradients as computed (before clipping), updates as applied
    (learning rate and decay included), and `params` as given (big_vision logs the updated ones)."""
    return Stats(
        grad_norm=optax.tree.norm(grads),
        update_norm=optax.tree.norm(updates),
        param_norm=optax.tree.norm(params),
    )


def _direction(config: OptimConfig) -> optax.GradientTransformation:
    match config.name:
        case "adafactor":
            return _adafactor(config)
        case "adam":
            return _adam(config)
        case "sgd":
            return momentum(decay=config.beta1, scale=1.0, dtype=_dtype(config))
        case _:
            assert_never(config.name)


def _dtype(config: OptimConfig) -> jnp.dtype:
    return jnp.dtype(config.momentum_dtype)


def _adam(config: OptimConfig) -> optax.GradientTransformation:
    """https://arxiv.org/abs/1412.6980, with the first moment stored in `momentum_dtype`."""
    adam = optax.scale_by_adam(b1=config.beta1, b2=config.beta2, mu_dtype=_dtype(config))

    def update(updates: Params, state: Any, params: Params = None) -> tuple[Params, Any]:
        # optax adds a bf16 product to an fp32 one, which strict promotion would refuse.
        with jax.numpy_dtype_promotion("standard"):
            return adam.update(updates, state, params)

    return optax.GradientTransformation(adam.init, update)


def _adafactor(config: OptimConfig) -> optax.GradientTransformation:
    """The paper's Adafactor (section 3.4): momentum of the preconditioned direction.

    Unlike https://arxiv.org/abs/1804.04235: a first moment in bf16, the second moment's decay
    capped at beta2, and neither update clipping nor scaling by the parameters' size.
    """

    def beta2(step: Any, exponent: Any) -> Array:
        count = jnp.asarray(step, jnp.float32) + 1.0
        return jnp.minimum(config.beta2, 1.0 - count ** (-exponent))

    return optax.chain(
        optax.scale_by_factored_rms(
            factored=True,
            decay_rate=0.8,
            min_dim_size_to_factor=MIN_FACTORED_DIM,
            epsilon=ADAFACTOR_EPSILON,
            decay_rate_fn=beta2,
        ),
        momentum(decay=config.beta1, scale=1.0 - config.beta1, dtype=_dtype(config)),
    )


def _as_tree(by_name: Mapping[str, Any], *, like: Params) -> Any:
    return jax.tree.unflatten(jax.tree.structure(like), [by_name[name] for name in names(like)])
