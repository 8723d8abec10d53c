"""ONNX graphs, run by onnxruntime, against the model: every part that a configuration can have."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitctl.interop import onnx_files
from vitctl.model import vit
from vitctl.model.config import ModelConfig

TINY = {
    "width": 16, "depth": 2, "mlp_dim": 24, "heads": 2, "patch": 4, "resolution": 14, "classes": 3,
}  # fmt: skip


def stirred(config: ModelConfig, *, seed: int) -> vit.Params:
    """Weights of which none is zero, so that nothing is left out unseen."""
    rng = np.random.default_rng(seed)
    params = vit.init(config, key=jax.random.key(seed))
    return jax.tree.map(
        lambda a: a + jnp.asarray(0.3 * rng.normal(size=a.shape), jnp.float32), params
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mlp": "swiglu", "mlp_dim": 24, "registers": 1},
        {"head": "distilled", "gelu": "exact"},
        {"head": "gap", "position": "sincos2d", "gelu": "exact", "classes": 0},
        {"head": "token", "pre_logits": 8, "norm_epsilon": 1e-5},
        {"head": "map", "class_token": True, "registers": 3, "layer_scale": 0.1, "gelu": "quick"},
        {"head": "gap", "norm_after_pool": True, "qk_norm": True, "qkv_bias": False},
        {
            "head": "token",
            "stem_norm": True,
            "patch_bias": False,
            "pre_logits": 12,
            "projection": "linear",
            "pixel_mean": (0.48, 0.46, 0.41),
            "pixel_std": (0.27, 0.26, 0.28),
            "position": "sincos2d",
            "position_grid": 5,
        },
    ],
    ids=["paper", "swiglu", "deit", "gap", "token", "dinov2", "mae and ViT-22B", "clip"],
)
def test_the_graph_computes_what_the_model_does(changes, tmp_path):
    config = ModelConfig.model_validate({**TINY, **changes})
    params = stirred(config, seed=len(changes))
    names = ["café", "b", "c"][: config.classes]
    for name, content in onnx_files.files(params, config=config, classes=names).items():
        (tmp_path / name).write_bytes(content)
    rng = np.random.default_rng(1)
    for count in (1, 5):
        images = rng.uniform(-1, 1, (count, 14, 14, 3)).astype(np.float32)
        with jax.default_matmul_precision("highest"):
            expected = vit.apply(params, jnp.asarray(images), config=config)
        logits, features = onnx_files.run_again(tmp_path, images)
        np.testing.assert_allclose(features, expected.pre_logits, rtol=0, atol=1e-5)
        np.testing.assert_allclose(logits, expected.logits, rtol=0, atol=2e-5)
    onnx, _ = onnx_files.library()
    onnx.checker.check_model(str(tmp_path / onnx_files.GRAPH), full_check=True)
    model = onnx.load(str(tmp_path / onnx_files.GRAPH), load_external_data=False)
    assert json.loads(model.metadata_props[0].value) == names


def test_the_same_weights_give_the_same_bytes():
    config = ModelConfig.model_validate(TINY)
    params = stirred(config, seed=1)
    first, second = (onnx_files.files(params, config=config, classes="abc") for _ in range(2))
    assert first == second
