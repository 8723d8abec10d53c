"""Polyak averaging: an exponential moving average of the weights, without a bias to its start.

    a_t = sum_i d^(t-i) p_i / sum_i d^(t-i)    over the weights p_1 ... p_t after each update

which is a_t = a_{t-1} + w_t (p_t - a_{t-1}) with w_t = (1 - d) / (1 - d^t): what is stored is the
average itself, ready to be scored, and the random weights a run starts from are not in it. After
1 / (1 - d) updates w_t is nearly 1 - d, the usual form; d = 1 is the limit w_t = 1 / t, the mean of
all weights alike. (B. Polyak and A. Juditsky, "Acceleration
of stochastic approximation by averaging", 1992; the correction is that of Adam's moments,
https://arxiv.org/abs/1412.6980, section 3.)
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Params = Any


class Average(NamedTuple):
    """The average, shaped and sharded like the parameters, of so many updates."""

    weights: Params
    updates: Int[Array, ""]


def initial(params: Params) -> Average:
    """The average before the first update: a copy of the weights, count 0."""
    return Average(jax.tree.map(jnp.copy, params), jnp.int32(0))


def update(average: Average, params: Params, *, decay: float) -> Average:
    """The average with `params`, the weights after one more update, in it."""
    updates = average.updates + 1
    share = share_of(updates, decay=decay)

    def nearer(a: Array, p: Array) -> Array:
        # The first is taken as it is: what a + (p - a) rounds away depends on where it started.
        return jnp.where(updates == 1, p, a + share * (p - a))

    return Average(jax.tree.map(nearer, average.weights, params), updates)


def share_of(updates: Int[Array, ""], *, decay: float) -> Float[Array, ""]:
    """w_t of the newest of so many updates: 1 for the first, then falling to 1 - decay."""
    if decay == 1.0:
        return 1.0 / updates.astype(jnp.float32)
    # expm1, of a logarithm taken in float64: 1 - d^t would lose half its digits at d = 0.9999.
    rest = -jnp.expm1(updates.astype(jnp.float32) * jnp.float32(math.log(decay)))
    return jnp.float32(1.0 - decay) / rest
