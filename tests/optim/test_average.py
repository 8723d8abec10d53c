"""The Polyak average against its definition as a weighted sum, in float64."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitctl.optim import average


def weights(updates: int) -> np.ndarray:
    """float32[updates, 3, 5]: weights that wander, as training's do."""
    rng = np.random.default_rng(0)
    steps = rng.normal(0, 0.01, (updates, 3, 5))
    return (rng.normal(0, 1, (3, 5)) + np.cumsum(steps, axis=0)).astype(np.float32)


@pytest.mark.parametrize("decay", [0.5, 0.99, 0.9999, 1.0])
def test_it_is_the_weighted_mean_of_all_weights_after_an_update(decay):
    """An update rounds a weight of about 1 twice, 2^-23 in all at the worst; older roundings fade
    like the weights themselves, so min(t, 1 / (1 - d)) of them add up, randomly: their root."""
    values = weights(300)
    step = jax.jit(partial(average.update, decay=decay))
    state = average.initial({"w": jnp.full((3, 5), 1e6)})  # the start is no part of it
    for p in values:
        state = step(state, {"w": jnp.asarray(p)})
    factors = decay ** np.arange(len(values) - 1, -1, -1, dtype=np.float64)
    expected = np.tensordot(factors, values.astype(np.float64), axes=1) / factors.sum()
    bound = (
        2.0**-23 * np.abs(values).max() * np.sqrt(min(len(values), 1 / max(1 - decay, 1e-9))) * 2
    )
    assert int(state.updates) == len(values)
    np.testing.assert_allclose(np.asarray(state.weights["w"]), expected, atol=bound, rtol=0)


def test_a_decay_of_1_is_the_running_mean_of_all_weights():
    """As float64 keeps it: mean_t = mean_(t-1) + (p_t - mean_(t-1)) / t."""
    values, mean = weights(2000), np.zeros((3, 5))
    step = jax.jit(partial(average.update, decay=1.0))
    state = average.initial({"w": jnp.full((3, 5), 1e6)})
    for t, p in enumerate(values, start=1):
        state = step(state, {"w": jnp.asarray(p)})
        mean += (p.astype(np.float64) - mean) / t
    np.testing.assert_allclose(mean, values.astype(np.float64).mean(axis=0), rtol=1e-12)
    bound = (
        2.0**-23 * np.abs(values).max() * np.sqrt(len(values))
    )  # a rounding an update, at random
    np.testing.assert_allclose(np.asarray(state.weights["w"]), mean, atol=bound, rtol=0)


def test_the_first_update_is_its_own_average():
    (p,) = weights(1)
    state = average.initial({"w": jnp.full((3, 5), 1e6)})
    state = average.update(state, {"w": jnp.asarray(p)}, decay=0.9)
    np.testing.assert_array_equal(np.asarray(state.weights["w"]), p)


def test_the_share_of_an_update_is_exact_for_slow_averages():
    """In float32, 1 - 0.9999^10 itself has an error of 6e-5; through expm1 it is a rounding."""
    for count in (1, 10, 1000, 100_000):
        decay = 0.9999
        expected = (1 - decay) / -np.expm1(count * np.log(decay))
        share = float(average.share_of(jnp.int32(count), decay=decay))
        assert share == pytest.approx(expected, rel=1e-6)


def test_it_shares_no_memory_with_the_weights():
    """A train step gives both up, and a buffer can be given up once."""
    params = {"w": jnp.ones((64, 64))}
    begin = jax.jit(lambda p: (p, average.initial(p)))
    given, state = begin(params)
    assert given["w"].unsafe_buffer_pointer() != state.weights["w"].unsafe_buffer_pointer()
