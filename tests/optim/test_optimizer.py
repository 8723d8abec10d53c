from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitctl.model import vit
from vitctl.model.config import from_name
from vitctl.optim.config import OptimConfig
from vitctl.optim.optimizer import make, stats

Tree = dict[str, Any]
STEPS = 6
LR = 0.1


def _params() -> Tree:
    """One layer of each kind: a factored kernel, one too small to factor, a bias; and a head."""
    rng = np.random.default_rng(0)
    shapes = {
        "blocks": {"up": {"kernel": (2, 40, 64), "bias": (2, 64)}, "out": {"kernel": (2, 40, 8)}},
        "head": {"kernel": (64, 33), "bias": (33,)},
    }
    return jax.tree.map(
        lambda s: jnp.asarray(rng.normal(size=s), jnp.float32),
        shapes,
        is_leaf=lambda s: isinstance(s, tuple),
    )


def _gradients(seed: int) -> Iterator[Tree]:
    rng = np.random.default_rng(seed)
    for step in range(STEPS):
        scale = 10.0 ** (step - 2)
        yield jax.tree.map(
            lambda p, s=scale: jnp.asarray(rng.normal(0, s, p.shape), jnp.float32), _params()
        )


def _updates(config: OptimConfig) -> list[Tree]:
    """The updates of a few steps at constant parameters."""
    params = _params()
    optimizer = make(config, params=params)
    update = jax.jit(optimizer.update)
    state, values = optimizer.init(params), []
    for grads in _gradients(1):
        updates, state = update(grads, state, params, lr=LR)
        values.append(updates)
    return values


def _check(ours: list[Tree], directions: Any, *, rtol: float) -> None:
    """`directions(gradients of one array) -> one direction a step`, per layer, in float64."""
    gradients = list(_gradients(1))
    for (path, _), *per_step in zip(
        jax.tree_util.tree_flatten_with_path(ours[0])[0],
        *map(jax.tree.leaves, gradients),
        *map(jax.tree.leaves, ours),
        strict=True,
    ):
        stacked = path[0].key == "blocks"
        g = [np.asarray(a, np.float64) for a in per_step[:STEPS]]
        u = [np.asarray(a) for a in per_step[STEPS:]]
        for layer in range(2) if stacked else [...]:
            expected = directions([a[layer] for a in g])
            for mine, theirs in zip(u, expected, strict=True):
                # Sums of both signs: fp32 errs relative to the terms, so to the largest value.
                atol = rtol * LR * np.abs(theirs).max()
                np.testing.assert_allclose(
                    mine[layer], -LR * theirs, rtol=rtol, atol=atol, err_msg=str(path)
                )


PLAIN = {"clip_norm": None, "wd_head": 0.0, "wd_body": 0.0, "momentum_dtype": "float32"}


def test_adafactor_equals_its_definition() -> None:
    """Shazeer & Stern's algorithm 4 with the paper's changes, in float64."""

    def directions(gradients: list[np.ndarray]) -> list[np.ndarray]:
        g = gradients[0]
        factored = g.ndim == 2 and min(g.shape) >= 32
        rows, columns, full, m = 0.0, 0.0, 0.0, np.zeros_like(g)
        values = []
        for step, g in enumerate(gradients):
            beta2 = min(0.6, 1 - (step + 1) ** -0.8)
            square = g**2 + 1e-30
            if factored:
                rows = beta2 * rows + (1 - beta2) * square.sum(axis=1)
                columns = beta2 * columns + (1 - beta2) * square.sum(axis=0)
                v = np.outer(rows, columns) / rows.sum()
            else:
                v = full = beta2 * full + (1 - beta2) * square
            m = 0.9 * m + 0.1 * g / np.sqrt(v)
            values.append(m)
        return values

    # A cap of 0.6 is reached at the fourth step, so both regimes are seen; 0.999 takes 5,623.
    _check(_updates(OptimConfig(name="adafactor", beta2=0.6, **PLAIN)), directions, rtol=1e-5)


def test_adam_equals_its_definition() -> None:
    def directions(gradients: list[np.ndarray]) -> list[np.ndarray]:
        m = v = np.zeros_like(gradients[0])
        values = []
        for step, g in enumerate(gradients, start=1):
            m = 0.9 * m + 0.1 * g
            v = 0.95 * v + 0.05 * g**2
            values.append((m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.95**step)) + 1e-8))
        return values

    _check(_updates(OptimConfig(name="adam", beta2=0.95, **PLAIN)), directions, rtol=1e-5)


def test_sgd_equals_its_definition() -> None:
    def directions(gradients: list[np.ndarray]) -> list[np.ndarray]:
        m, values = np.zeros_like(gradients[0]), []
        for g in gradients:
            m = 0.9 * m + g
            values.append(m)
        return values

    _check(_updates(OptimConfig(name="sgd", **PLAIN)), directions, rtol=1e-5)


def test_decay_is_lr_times_lambda_times_the_parameter() -> None:
    params = _params()
    optimizer = make(OptimConfig(wd_head=3.0, wd_body=0.25), params=params)
    nothing = jax.tree.map(jnp.zeros_like, params)
    updates, _ = jax.jit(optimizer.update)(nothing, optimizer.init(params), params, lr=0.5)
    expected = {
        "blocks": {
            "up": {"kernel": -0.125 * params["blocks"]["up"]["kernel"], "bias": np.zeros((2, 64))},
            "out": {"kernel": -0.125 * params["blocks"]["out"]["kernel"]},
        },
        "head": {"kernel": -1.5 * params["head"]["kernel"], "bias": np.zeros(33)},
    }
    jax.tree.map(np.testing.assert_array_equal, updates, expected)


def test_gradients_are_clipped_by_the_norm_over_all_layers_and_parameters() -> None:
    params = _params()
    grads = next(_gradients(1))
    norm = np.sqrt(sum(np.sum(np.square(g, dtype=np.float64)) for g in jax.tree.leaves(grads)))
    config = OptimConfig(name="sgd", **PLAIN | {"clip_norm": float(norm) / 4})
    optimizer = make(config, params=params)
    update = jax.jit(optimizer.update)
    state = optimizer.init(params)
    updates, _ = update(grads, state, params, lr=1.0)
    jax.tree.map(lambda u, g: np.testing.assert_allclose(u, -g / 4, rtol=1e-5), updates, grads)
    small = jax.tree.map(lambda g: g / 8, grads)
    updates, _ = update(small, state, params, lr=1.0)
    jax.tree.map(lambda u, g: np.testing.assert_array_equal(u, -g), updates, small)


def test_the_learning_rate_is_a_value_of_one_program() -> None:
    params = _params()
    grads = next(_gradients(1))
    optimizer = make(OptimConfig(wd_head=0.0, wd_body=0.0), params=params)
    update = jax.jit(optimizer.update)
    state = optimizer.init(params)
    whole, after = update(grads, state, params, lr=np.float32(1.0))
    half, same = update(grads, state, params, lr=np.float32(0.5))
    nothing, _ = update(grads, state, params, lr=np.float32(0.0))
    assert update._cache_size() == 1
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(0.5 * a, b), whole, half)
    jax.tree.map(np.testing.assert_array_equal, after, same)
    assert not any(np.any(u) for u in jax.tree.leaves(nothing))


def test_stats_are_global_norms() -> None:
    tree = {"blocks": jnp.full((2, 2), 3.0), "rest": jnp.asarray([8.0])}
    double = jax.tree.map(lambda x: 2 * x, tree)
    result = stats(grads=tree, updates=double, params=tree)
    assert [float(x) for x in result] == pytest.approx([10, 20, 10])


def _bytes(tree: Any) -> int:
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("name", "config", "ratio"),
    [
        ("G/14", OptimConfig(), 0.5045),
        ("g/14", OptimConfig(), 0.5058),
        ("B/16", OptimConfig(), 0.512),
        ("B/16", OptimConfig(name="adam"), 1.5),
        ("B/16", OptimConfig(name="adam", momentum_dtype="float32"), 2.0),
        ("B/16", OptimConfig(name="sgd"), 0.5),
    ],
)
def test_state_size_relative_to_the_parameters(
    name: str, config: OptimConfig, ratio: float
) -> None:
    """Measured on big_vision with the MAP head and 29,593 classes: the paper's "+50 %"."""
    model = from_name(name, classes=29_593)
    params = jax.eval_shape(lambda: vit.init(model, key=jax.random.key(0)))
    state = jax.eval_shape(make(config, params=params).init, params)
    measured_ratio = _bytes(state) / _bytes(params)
    assert measured_ratio == pytest.approx(ratio, abs=6e-4)
    if name == "G/14":
        assert measured_ratio <= 0.51
