"""The trained part of the parameters: gradients are those of all parameters, where it has some."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitctl.model import part, shapes, vit
from vitctl.model.config import ModelConfig
from vitctl.optim import frozen
from vitctl.optim.config import OptimConfig
from vitctl.optim.optimizer import names

MODEL = ModelConfig(
    width=8, depth=4, mlp_dim=16, heads=2, patch=8, resolution=16, classes=5, head="map"
)
STEM = ("embedding/.*", "position")
PATTERNS = (
    (*STEM, "blocks/.*"),
    (*STEM, "blocks/[01]/.*"),
    (*STEM, "blocks/[02]/.*"),  # through a constant block
    (*STEM, "blocks/[0-2]/.*", "blocks/3/mlp/.*"),
    ("blocks/[12]/attention/.*", "blocks/2/.*/bias"),
    ("blocks/.*", "head/.*"),  # through all of them
)


def _filled():
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda p: jnp.asarray(rng.normal(size=p.shape, scale=0.3), jnp.float32),
        shapes.of_params(MODEL),
    )


def _by_name(tree):
    return dict(zip(names(tree), map(np.asarray, jax.tree.leaves(tree)), strict=True))


IMAGES = np.random.default_rng(1).uniform(-1, 1, (3, 16, 16, 3)).astype(np.float32)


def _loss(params, own=None, **how):
    logits = vit.apply(params, jnp.asarray(IMAGES), config=MODEL, part=own, **how).logits
    return jnp.sum(logits**2)


@pytest.fixture(scope="module")
def all_gradients():
    return _by_name(jax.jit(jax.grad(_loss))(_filled()))


@pytest.mark.parametrize(
    ("patterns", "remat", "scan"),
    [
        *((patterns, "none", True) for patterns in PATTERNS),
        (PATTERNS[4], "full", True),
        (PATTERNS[4], "none", False),
    ],
    ids=str,
)
def test_gradients_are_those_of_all_where_something_is_trained(
    patterns, remat, scan, all_gradients
):
    params = _filled()
    layers = frozen.trained_layers(MODEL, OptimConfig(freeze=patterns))

    def loss(own):
        # What is trained is in the part alone: that of `params` is not read.
        rubbish = part.put(params, jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), own), layers)
        return _loss(rubbish, part.Part(own, layers), remat=remat, scan=scan)

    own = part.take(params, layers)
    value, gradients = jax.jit(jax.value_and_grad(loss))(own)
    np.testing.assert_allclose(value, _loss(params), rtol=1e-5)
    gradients = _by_name(gradients)
    assert gradients.keys() == layers.keys()
    for name, gradient in gradients.items():
        whole = all_gradients[name]
        expected = whole[list(layers[name])] if layers[name] else whole
        # fp32, in another order of summation.
        scale = np.abs(expected).max()
        np.testing.assert_allclose(gradient, expected, atol=2e-5 * scale + 1e-5, err_msg=name)


@pytest.mark.parametrize("patterns", PATTERNS, ids=str)
def test_putting_back_what_was_taken_changes_nothing_else(patterns):
    params = _filled()
    layers = frozen.trained_layers(MODEL, OptimConfig(freeze=patterns))
    own = jax.tree.map(lambda x: x + 1, part.take(params, layers))
    after = _by_name(part.put(params, own, layers))
    for name, before in _by_name(params).items():
        rows = layers.get(name)
        expected = before.copy()
        if rows:
            expected[list(rows)] += 1
        elif rows is not None:
            expected += 1
        np.testing.assert_array_equal(after[name], expected, err_msg=name)


def test_segments_are_neighbours_that_are_trained_alike():
    layers = frozen.trained_layers(
        MODEL, OptimConfig(freeze=(*STEM, "blocks/[02]/.*", "blocks/3/mlp/.*"))
    )
    segments = part.segments(layers, depth=4)
    assert [(s.first, s.end, s.passed) for s in segments] == [
        (0, 1, False),
        (1, 2, True),
        (2, 3, True),
        (3, 4, True),
    ]
    assert segments[2].names == frozenset()
    assert "mlp/up/kernel" in segments[1].names
    assert "mlp/up/kernel" not in segments[3].names
