from __future__ import annotations

import jax
import numpy as np
import pytest

from vitctl.errors import UsageError
from vitctl.model import posemb, vit
from vitctl.model.config import ModelConfig, from_name
from vitctl.model.resize import resized


@pytest.fixture(scope="module")
def source() -> ModelConfig:
    return from_name("test", classes=5, resolution=24)


@pytest.fixture(scope="module")
def params(source: ModelConfig) -> vit.Params:
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: vit.init(source, key=jax.random.key(0)))
    return jax.tree.map(lambda s: rng.normal(size=s.shape).astype(np.float32), shapes)


def test_a_larger_image_with_other_classes(source: ModelConfig, params: vit.Params) -> None:
    target = from_name("test", classes=7, resolution=43, head_bias=-2.0)
    moved = resized(params, source=source, target=target, head="fresh", key=jax.random.key(0))
    shapes = jax.eval_shape(lambda: vit.init(target, key=jax.random.key(0)))
    assert jax.tree.map(np.shape, moved) == jax.tree.map(np.shape, shapes)
    expected = posemb.resample(params["position"], old_grid=(3, 3), new_grid=(5, 5))
    np.testing.assert_array_equal(moved["position"], expected)
    np.testing.assert_array_equal(moved["head"]["kernel"], np.zeros((32, 7)))
    np.testing.assert_array_equal(moved["head"]["bias"], np.full(7, -2.0))
    for name in params.keys() - {"position", "head"}:
        jax.tree.map(np.testing.assert_array_equal, moved[name], params[name])


def test_patches_of_another_size_see_what_the_old_ones_saw(source: ModelConfig, params: vit.Params):
    """Of larger patches, which hold every enlarged small patch: the same embedding."""
    target = ModelConfig(**source.model_dump() | {"patch": 12, "resolution": 36})
    moved = resized(params, source=source, target=target, head="keep", key=jax.random.key(0))
    small = np.random.default_rng(1).normal(size=(8, 8, 3)).astype(np.float32)
    large = np.asarray(jax.image.resize(small, (12, 12, 3), "bilinear"))
    before = np.einsum("abc,abcd->d", small, params["embedding"]["kernel"])
    after = np.einsum("abc,abcd->d", large, moved["embedding"]["kernel"])
    np.testing.assert_allclose(after, before, atol=2e-3)
    np.testing.assert_array_equal(moved["position"], params["position"])  # as many patches
    np.testing.assert_array_equal(moved["embedding"]["bias"], params["embedding"]["bias"])


def test_the_same_model_keeps_everything(source: ModelConfig, params: vit.Params) -> None:
    moved = resized(params, source=source, target=source, head="keep", key=jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, moved, params)


def test_what_cannot_move_is_refused(source: ModelConfig, params: vit.Params) -> None:
    other = ModelConfig(**source.model_dump() | {"head": "gap", "depth": 4})
    with pytest.raises(UsageError, match="depth 2 -> 4, head map -> gap"):
        resized(params, source=source, target=other, head="fresh", key=jax.random.key(0))
    more = ModelConfig(**source.model_dump() | {"classes": 6})
    with pytest.raises(UsageError, match="of 5 classes cannot be kept for 6"):
        resized(params, source=source, target=more, head="keep", key=jax.random.key(0))
