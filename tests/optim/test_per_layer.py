from __future__ import annotations

import operator

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


def _run(tx: optax.GradientTransformation, trees: list[dict]) -> dict:
    """The updates of the second of two steps; the first tree is the parameters."""
    params, *gradients = trees
    state = tx.init(params)
    for grads in gradients:
        updates, state = tx.update(grads, state, params)
    return updates


@pytest.fixture(scope="module")
def inner() -> optax.GradientTransformation:
    return optax.scale_by_factored_rms(min_dim_size_to_factor=32)


@pytest.fixture(scope="module")
def separate(inner: optax.GradientTransformation) -> dict:
    """Every layer on its own, stacked again afterwards."""
    trees = [_tree(seed) for seed in range(3)]
    run = jax.jit(lambda trees: _run(inner, trees))
    layers = [
        run([jax.tree.map(operator.itemgetter(layer), tree["blocks"]) for tree in trees])
        for layer in range(DEPTH)
    ]
    rest = run([{k: v for k, v in tree.items() if k != "blocks"} for tree in trees])
    return rest | {"blocks": jax.tree.map(lambda *a: np.stack(a), *layers)}


def test_stacked_equals_separate(inner: optax.GradientTransformation, separate: dict) -> None:
    tx = per_layer(inner, stacked="blocks")
    stacked = jax.jit(lambda: _run(tx, [_tree(seed) for seed in range(3)]))()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), stacked, separate)


def test_the_test_above_can_fail(inner: optax.GradientTransformation, separate: dict) -> None:
    naive = jax.jit(lambda: _run(inner, [_tree(seed) for seed in range(3)]))()
    for name in ("bias", "head_bias"):
        apart = np.abs(naive["blocks"][name] - separate["blocks"][name])
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
