"""Updates whose gradient norm is far outside its recent history are left out.

The history is a mean and a variance of x = ln(norm) over about the last `WINDOW` updates, exact
over the first `WINDOW` and exponential after:

    n = min(t, WINDOW)    m' = m + (x - m) / n    v' = (1 - 1/n) (v + (x - m)^2 / n)

(T. Finch, "Incremental calculation of weighted mean and variance", 2009). x is a spike if it is
more than `sigmas` deviations above the mean, and the norm more than twice the usual one.

Window and threshold (128 updates, 6 deviations, nothing judged before half a window) are those of
OLMo's `SkipStepOptimizer` and MaxText's `skip_step_on_spikes`. They differ in three ways:

- Logarithms: norms are skewed, and fall by orders of magnitude in a run.
- A spike enters the history only up to the threshold, so that it doesn't hide the next one. Each
  still widens the history a little: norms that rose for good are soon taken for normal (at most 25
  updates are left out at a thousandfold rise; a test measures it).
- Below twice the usual norm nothing is a spike, however quiet the history.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

WINDOW = 128
FEWEST = WINDOW // 2
LEAST_FACTOR = 2.0

_SMALLEST = 1e-30
"""Stands in for a norm of 0, which has no logarithm."""


class NormHistory(NamedTuple):
    """Of ln(gradient norm): mean and variance over so many updates; `skipped` of them were left
    out."""

    mean: Float[Array, ""]
    variance: Float[Array, ""]
    updates: Int[Array, ""]
    skipped: Int[Array, ""]


def initial() -> NormHistory:
    """The history before the first update: all zeros, count 0."""
    return NormHistory(jnp.float32(0), jnp.float32(0), jnp.int32(0), jnp.int32(0))


def judge(
    history: NormHistory, norm: Float[Array, ""], *, sigmas: float
) -> tuple[Bool[Array, ""], NormHistory]:
    """Whether an update with this gradient norm is to be left out, and the history with it in."""
    x = jnp.log(jnp.maximum(norm, _SMALLEST))
    known = history.updates >= FEWEST
    reach = jnp.maximum(sigmas * jnp.sqrt(history.variance), math.log(LEAST_FACTOR))
    spike = known & (x > history.mean + reach)

    updates = history.updates + 1
    share = 1.0 / jnp.minimum(updates, WINDOW).astype(jnp.float32)
    off = x - history.mean
    off = jnp.where(known, jnp.clip(off, -reach, reach), off)
    return spike, NormHistory(
        mean=history.mean + share * off,
        variance=(1.0 - share) * (history.variance + share * off**2),
        updates=updates,
        skipped=history.skipped + spike.astype(jnp.int32),
    )
