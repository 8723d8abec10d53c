from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import made
from vitctl.artifacts import Store
from vitctl.data.config import EvalPreprocess
from vitctl.errors import InputError
from vitctl.inference import features
from vitctl.inference import weights as frozen
from vitctl.model import vit
from vitctl.model.feature_point import Point
from vitctl.sharding import layout as layouts
from vitctl.train.program import state

DATASET = made.NamedDataset()
MODEL = made.config().model


def shown(*, batch: int | None, indices: np.ndarray, layout: layouts.Layout):
    return frozen.batches(
        DATASET,
        split="val",
        resolution=MODEL.resolution,
        preprocess=EvalPreprocess(),
        layout=layout,
        batch=batch,
        indices=indices,
    )


def extracted(*, batch: int | None, indices: np.ndarray, devices: int, params=None) -> np.ndarray:
    layout = layouts.make(devices=devices)
    extractor = features.make_extractor(MODEL, precision="float32", layout=layout)
    params = layout.place(params or made.weights(MODEL))
    parts = features.of_model(
        extractor, params, shown(batch=batch, indices=indices, layout=layout), layout=layout
    )
    return features.gathered(parts, examples=len(indices), width=MODEL.features)


def images(indices: np.ndarray) -> np.ndarray:
    request = [(indices, np.zeros((len(indices), 2), np.int32))]
    return next(DATASET.made_up(request, split="val", resolution=MODEL.resolution))


@pytest.mark.parametrize(("batch", "devices"), [(7, 1), (None, 1), (3, 8)])
def test_features_are_pre_logits_of_the_images_asked_for(batch, devices):
    indices = np.random.default_rng(0).permutation(37)[:30]
    result = extracted(batch=batch, indices=indices, devices=devices)
    pre_logits = jax.jit(lambda p, x: vit.apply(p, x, config=MODEL).pre_logits)
    expected = np.asarray(pre_logits(made.weights(MODEL), images(indices)))
    # fp32 sums in another order: features are of size 1.
    np.testing.assert_allclose(result, expected, rtol=0, atol=2e-6)


def test_pixels_are_the_images_flat():
    indices = np.arange(36, 15, -1)
    layout = layouts.make(devices=1)
    parts = list(features.of_pixels(shown(batch=8, indices=indices, layout=layout), layout=layout))
    assert [len(part) for part in parts] == [8, 8, 5]
    np.testing.assert_array_equal(np.concatenate(parts), images(indices).reshape(21, -1))


@pytest.mark.parametrize("examples", [4, 6])
def test_missing_and_surplus_features_are_noticed(examples):
    with pytest.raises(ValueError, match=r"features of|broadcast"):
        features.gathered([np.zeros((5, 2), np.float32)], examples=examples, width=2)


def test_a_checkpoints_weights_come_back_without_its_optimizer(tmp_path):
    made_one = made.checkpoint(Store(tmp_path))
    for file in (made_one.path / "opt").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    layout = layouts.make()
    params = frozen.restored(made_one, model=made.config().model, layout=layout)
    jax.tree.map(np.testing.assert_array_equal, params, made.weights(MODEL))
    assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(params))


def test_a_flipped_byte_in_the_weights_is_noticed(tmp_path):
    made_one = made.checkpoint(Store(tmp_path))
    weights = max((made_one.path / "params").rglob("*"), key=lambda p: p.stat().st_size)
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    with pytest.raises(InputError, match="is damaged: params/"):
        frozen.restored(made_one, model=made.config().model, layout=layouts.make())


def test_untrained_weights_are_those_training_starts_from():
    layout = layouts.make()
    cfg = made.config(seed=5, optim={"name": "sgd"})
    result = state.drawn(cfg, layout=layout)
    jax.tree.map(np.testing.assert_array_equal, result, state.fresh(cfg, layout=layout).params)
    # Compiled differently: normal numbers may differ in the last bit.
    expected = vit.init(cfg.model, key=jax.random.key(5))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), result, expected)


@pytest.mark.parametrize("head", ["gap", "token", "map"])
def test_tokens_after_a_block_are_those_of_a_model_whose_later_blocks_do_nothing(head):
    """A block adds what its last products give; where these are zero it passes tokens on."""
    config = made.config(model={"depth": 3, "head": head}).model
    params = made.weights(config)
    blocks = params["blocks"]
    still = jax.tree.map(np.array, blocks)
    for part in (still["attention"]["out"], still["mlp"]["down"]):
        for value in part.values():
            value[1:] = 0
    shown_images = images(np.arange(9))
    layout = layouts.make(devices=1)

    def look(at: Point, params: object) -> np.ndarray:
        extractor = features.make_extractor(config, precision="float32", layout=layout, at=at)
        return np.asarray(extractor(layout.place(params), shown_images))

    first = look(Point(1, pooled=False), params)
    still_last = look(Point(None, pooled=False), params | {"blocks": still})
    np.testing.assert_allclose(first, still_last, rtol=0, atol=2e-6)
    assert first.shape == (9, features.width_at(config, Point(1, pooled=False)))
    last = look(Point(None, pooled=False), params)
    np.testing.assert_array_equal(last, look(Point(3, pooled=False), params))
    assert np.abs(last - first).max() > 0.01
    encoded = vit.apply(params, jnp.asarray(shown_images), config=config).encoded
    np.testing.assert_allclose(
        last, np.asarray(encoded)[:, config.prefix :].mean(axis=1), rtol=0, atol=2e-6
    )
