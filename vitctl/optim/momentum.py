"""Momentum whose storage type is part of the arithmetic, whatever the compiler fuses."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array


class MomentumState(NamedTuple):
    """The first moment of every parameter, in the storage type."""

    moment: Any


def momentum(*, decay: float, scale: float, dtype: jnp.dtype) -> optax.GradientTransformation:
    """m = decay · m + scale · u; the direction is m before it is rounded for storage.

    With scale = 1 - decay the numbers of `optax.ema(debias=False, accumulator_dtype=dtype)`, with
    scale = 1 of `optax.trace`: in both, `decay` and `decay · m` are rounded to the storage type
    (0.9 is 0.8984 in bf16). There XLA may skip those roundings, depending on what it fuses, which
    moves weights by 1 % of their change within a dozen steps; `reduce_precision` it must obey.
    """

    def init(params: Any) -> MomentumState:
        return MomentumState(jax.tree.map(lambda p: jnp.zeros(p.shape, dtype), params))

    def update(updates: Any, state: MomentumState, params: Any = None) -> tuple[Any, MomentumState]:
        del params
        new = jax.tree.map(lambda u, m: _faded(m, decay=decay) + scale * u, updates, state.moment)
        return new, MomentumState(jax.tree.map(lambda m: m.astype(dtype), new))

    return optax.GradientTransformation(init, update)


def _faded(moment: Array, *, decay: float) -> Array:
    """decay · moment, rounded to the type of the moment, as fp32."""
    info = jnp.finfo(moment.dtype)
    faded = float(np.asarray(decay, moment.dtype)) * moment.astype(jnp.float32)
    return jax.lax.reduce_precision(faded, exponent_bits=info.nexp, mantissa_bits=info.nmant)
