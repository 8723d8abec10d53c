from __future__ import annotations

import math
import operator
from collections.abc import Callable

import jax
import numpy as np
import pytest
from flax import nnx

from vitctl.model import vit
from vitctl.model.config import ModelConfig, from_name
from vitctl.optim.optimizer import names

Golden = Callable[[str, list[str]], None]

# Each line: a pattern, the kind of distribution, its standard deviation for Ti (d 192, f 768,
# patch 16), worked out by hand: Xavier sqrt(2 / (in + out)), LeCun 1 / sqrt(in).
EXPECTED = {
    "embedding/kernel": ("truncated", 1 / math.sqrt(3 * 16 * 16)),
    "position": ("normal", 1 / math.sqrt(192)),
    "attention/query/kernel": ("uniform", math.sqrt(1 / 192)),
    "attention/key/kernel": ("uniform", math.sqrt(1 / 192)),
    "attention/value/kernel": ("uniform", math.sqrt(1 / 192)),
    "attention/out/kernel": ("uniform", math.sqrt(1 / 192)),
    "mlp/up/kernel": ("uniform", math.sqrt(2 / (192 + 768))),
    "mlp/down/kernel": ("uniform", math.sqrt(2 / (192 + 768))),
    "mlp/up/bias": ("normal", 1e-6),
    "mlp/down/bias": ("normal", 1e-6),
    "map_head/probe": ("uniform", math.sqrt(2 / (1 + 192))),
    "pre_logits/kernel": ("truncated", 1 / math.sqrt(192)),
    "norm/scale": ("constant", 1.0),
    "head/kernel": ("constant", 0.0),
    "head/bias": ("constant", -math.log(100)),
    "bias": ("constant", 0.0),
}


@pytest.fixture(scope="module")
def config() -> ModelConfig:
    return from_name("Ti/16", classes=100, pre_logits=192, head_bias=-math.log(100))


@pytest.fixture(scope="module")
def drawn(config: ModelConfig) -> dict[str, np.ndarray]:
    params = jax.jit(lambda k: vit.init(config, key=k))(jax.random.key(0))
    return dict(zip(names(params), map(np.asarray, jax.tree.leaves(params)), strict=True))


def test_distributions(drawn: dict[str, np.ndarray]) -> None:
    for name, array in drawn.items():
        kind, scale = next(v for k, v in EXPECTED.items() if name.endswith(k))
        assert array.dtype == np.float32, name
        if kind == "constant":
            np.testing.assert_allclose(array, scale, rtol=1e-6, err_msg=name)
            continue
        # Five standard errors of a sample standard deviation, of a mean.
        assert abs(array.std() / scale - 1) < 5 / math.sqrt(2 * array.size), name
        assert abs(array.mean() / scale) < 5 / math.sqrt(array.size), name
        largest = np.abs(array).max() / scale
        if kind == "uniform":
            assert largest <= math.sqrt(3) * (1 + 1e-6), name
        elif kind == "truncated":
            # Cut at two standard deviations of the normal that, once cut, has variance 1.
            assert largest <= 2 / 0.87962566103423978 * (1 + 1e-6), name
        elif array.size > 10_000:
            assert largest > 3, name


def test_no_two_arrays_start_equal(drawn: dict[str, np.ndarray]) -> None:
    random = {n: a for n, a in drawn.items() if a.std() > 0}
    firsts = [
        layer.ravel()[0] / a.std()
        for name, a in random.items()
        for layer in (a if name.startswith("blocks/") else [a])
    ]
    assert len(firsts) > 8 * 12
    assert len({f"{first:.4f}" for first in firsts}) > 0.98 * len(firsts), "a key was used twice"


def test_stacked_layers_are_drawn_as_a_loop_would() -> None:
    """Bitwise, and so a layer's weights do not depend on how many follow."""
    config = from_name("test", classes=3)

    def pure(block: nnx.Module) -> vit.Params:
        return nnx.to_pure_dict(nnx.state(block))

    key = jax.random.key(7)
    stacked = jax.jit(lambda k: pure(vit._stacked_blocks(config, key=k)))(key)
    alone = jax.jit(lambda k: pure(vit._block(config, key=k)))
    for layer in range(config.depth):
        mine = jax.tree.map(operator.itemgetter(layer), stacked)
        jax.tree.map(np.testing.assert_array_equal, mine, alone(jax.random.fold_in(key, layer)))


def test_seeds_matter_and_repeat() -> None:
    config = from_name("test", classes=3)
    draw = jax.jit(lambda key: vit.init(config, key=key)["position"])
    a, b, c = (draw(jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_init_is_as_reviewed(drawn: dict[str, np.ndarray], golden: Golden) -> None:
    lines = []
    for name, array in drawn.items():
        text = f"std {array.std():.2g}" if array.std() > 1e-9 else f"all {array.ravel()[0]:g}"
        lines.append(f"{name:40} {list(array.shape)!s:22} {text}")
    golden("init_ti16.txt", lines)
