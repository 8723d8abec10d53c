"""Layer-wise rates and frozen parameters against updates computed by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitctl.errors import UsageError
from vitctl.model import shapes
from vitctl.model.config import ModelConfig
from vitctl.model.part import put, take
from vitctl.optim.config import OptimConfig
from vitctl.optim.optimizer import make, names, shares
from vitctl.settings.overrides import build

MODEL = ModelConfig(
    width=8, depth=3, mlp_dim=16, heads=2, patch=8, resolution=16, classes=5, head="map"
)
SGD = {"name": "sgd", "momentum_dtype": "float32", "clip_norm": None}


def _filled(seed: int):
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32), shapes.of_params(MODEL)
    )


def _by_name(tree) -> dict[str, np.ndarray]:
    return dict(zip(names(tree), map(np.asarray, jax.tree.leaves(tree)), strict=True))


def test_two_steps_are_those_computed_by_hand():
    """-lr · d^k · (momentum + decay · p), k as MAE's `lr_decay.py` counts: the embedding is layer
    0, block l layer l + 1, all behind it layer L + 1; the exponent is L + 1 - layer."""
    d, lr, wd, depth = 0.75, 0.1, 0.02, MODEL.depth
    config = OptimConfig(**SGD, beta1=0.9, wd_head=wd, wd_body=wd, layer_decay=d)
    params = _filled(0)
    optimizer = make(config, params=params)
    state = optimizer.init(params)
    gradients = [_filled(1), _filled(2)]
    for gradient in gradients:
        updates, state = optimizer.update(gradient, state, params, lr=lr)
    first, second, ours = map(_by_name, (*gradients, updates))
    for name, p in _by_name(params).items():
        top = name.partition("/")[0]
        layers = {"blocks": range(1, depth + 1), "embedding": 0, "position": 0}.get(top, depth + 1)
        share = d ** (depth + 1 - np.asarray(layers, np.float64))
        share = share.reshape(share.shape + (1,) * (p.ndim - share.ndim)) if share.ndim else share
        decays = wd if name.endswith("kernel") else 0.0
        expected = -lr * share * (0.9 * first[name] + second[name] + decays * p)
        np.testing.assert_allclose(ours[name], expected, rtol=2e-6, atol=1e-8, err_msg=name)


def test_a_decay_of_1_and_none_are_one_rate_for_all():
    for decay in (None, 1.0):
        by_name = _by_name(shares(shapes.of_params(MODEL), config=OptimConfig(layer_decay=decay)))
        assert all((share == 1.0).all() for share in by_name.values())


def test_what_is_frozen_has_no_state_and_does_not_move():
    config = OptimConfig(
        **SGD, wd_body=0.5, freeze=(r"embedding/.*", "position", r"blocks/[01]/.*", r".*/probe")
    )
    params, gradients = _filled(0), _filled(3)
    optimizer = make(config, params=params)
    layers = optimizer.layers
    part = take(params, layers)
    state = optimizer.init(params)
    updates, _ = optimizer.update(take(gradients, layers), state, part, lr=0.1)
    moved = _by_name(put(params, jax.tree.map(jnp.add, part, updates), layers))

    plain = make(OptimConfig(**SGD, wd_body=0.5), params=params)
    all_updates, _ = plain.update(gradients, plain.init(params), params, lr=0.1)
    expected = _by_name(jax.tree.map(jnp.add, params, all_updates))
    for name, p in _by_name(params).items():
        if name.startswith("blocks/"):
            np.testing.assert_array_equal(moved[name][:2], p[:2], err_msg=name)
            np.testing.assert_array_equal(moved[name][2], expected[name][2], err_msg=name)
            assert (moved[name][2] != p[2]).all(), name
        elif name.startswith("embedding/") or name in ("position", "map_head/probe"):
            np.testing.assert_array_equal(moved[name], p, err_msg=name)
        else:
            np.testing.assert_array_equal(moved[name], expected[name], err_msg=name)

    # SGD keeps one number for each that is trained.
    assert sum(x.size for x in jax.tree.leaves(state)) == sum(x.size for x in jax.tree.leaves(part))


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (("blocks/mlp/.*",), "no parameter is called blocks/mlp/"),
        (("head/.*", "headd"), "no parameter is called headd"),
        ((".*",), "every parameter is frozen"),
    ],
)
def test_patterns_of_no_use_are_refused(patterns, message):
    with pytest.raises(ValueError, match=message):
        make(OptimConfig(freeze=patterns), params=shapes.of_params(MODEL))


def test_a_pattern_that_is_no_regular_expression_is_a_sentence():
    with pytest.raises(UsageError, match=r"\*head is no regular expression"):
        build(OptimConfig, {"freeze": ["*head"]})


def test_settings_of_before_are_recorded_as_before():
    assert not {"layer_decay", "freeze"} & OptimConfig().model_dump().keys()
    changed = OptimConfig(layer_decay=0.9, freeze=("head/.*",)).model_dump(mode="json")
    assert (changed["layer_decay"], changed["freeze"]) == (0.9, ["head/.*"])
