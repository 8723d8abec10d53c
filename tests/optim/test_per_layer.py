from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vitctl.optim.per_layer import per_layer

DEPTH = 33
"""Past 32 layers a stack of vectors looks like a matrix worth factoring."""


def _tree(seed: int) -> dict:
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> jax.Array:
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    blocks = {
        "bias": draw(DEPTH, 40),
        "head_bias": draw(DEPTH, 2, 32),
        "kernel": draw(DEPTH, 40, 36),
        "query": draw(DEPTH, 40, 2, 32),
    }
    return {"blocks": blocks, "norm": draw(40), "head": draw(36, 40)}


def _unstacked(tree: dict) -> dict:
    rest = {name: leaf for name, leaf in tree.items() if name != "blocks"}
    layers = [jax.tree.map(lambda a: a[i], tree["blocks"]) for i in range(DEPTH)]  # noqa: B023
    return rest | {f"layer{i}": layer for i, layer in enumerate(layers)}


def _run(tx: optax.GradientTransformation, *, separate: bool) -> dict:
    arrange = _unstacked if separate else lambda tree: tree

    @jax.jit
    def steps() -> dict:
        params = arrange(_tree(0))
        state = tx.init(params)
        for seed in (1, 2):
            updates, state = tx.update(arrange(_tree(seed)), state, params)
        return updates

    return steps()


@pytest.fixture(scope="module")
def inner() -> optax.GradientTransformation:
    return optax.scale_by_factored_rms(min_dim_size_to_factor=32)


@pytest.fixture(scope="module")
def separate(inner: optax.GradientTransformation) -> dict:
    return _run(inner, separate=True)


def test_stacked_equals_separate(inner: optax.GradientTransformation, separate: dict) -> None:
    stacked = _unstacked(_run(per_layer(inner, stacked="blocks"), separate=False))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), stacked, separate)


def test_the_test_above_can_fail(inner: optax.GradientTransformation, separate: dict) -> None:
    naive = _unstacked(_run(inner, separate=False))
    for name in ("bias", "head_bias"):
        apart = np.abs(naive["layer3"][name] - separate["layer3"][name])
        assert apart.max() > 0.1, name


def test_state_keeps_factors_for_every_layer(inner: optax.GradientTransformation) -> None:
    shapes = jax.eval_shape(lambda: _tree(0))
    state = jax.eval_shape(per_layer(inner, stacked="blocks").init, shapes)
    rows, full = state.layers.v_row, state.layers.v
    assert rows["kernel"].shape == (DEPTH, 36)
    assert rows["query"].shape == (DEPTH, 2, 32)
    assert full["bias"].shape == (DEPTH, 40)
    assert full["head_bias"].shape == (DEPTH, 2, 32)
    assert state.rest.v_row["head"].shape == (36,)
