from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitctl.errors import InputError
from vitctl.interop import big_vision
from vitctl.model import vit
from vitctl.model.config import ModelConfig
from vitctl.model.heads import Head

REFERENCE = Path(__file__).parents[1] / "reference" / "reference_small.npz"


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    with np.load(REFERENCE) as arrays:
        return dict(arrays)


def _config(head: Head = "map", **change: int) -> ModelConfig:
    size = {"width": 64, "depth": 2, "mlp_dim": 128, "heads": 2, "patch": 8, "classes": 10}
    return ModelConfig(**size | {"resolution": 32, "head": head} | change)


def _weights(reference: dict[str, np.ndarray], head: str) -> dict[str, np.ndarray]:
    prefix = f"{head}/init/"
    return {n.removeprefix(prefix): a for n, a in reference.items() if n.startswith(prefix)}


@pytest.mark.parametrize(("head", "theirs"), [("map", "map"), ("gap", "gap"), ("token", "tok")])
def test_outputs_equal_the_reference(
    reference: dict[str, np.ndarray], head: Head, theirs: str
) -> None:
    config = _config(head)
    params = big_vision.from_big_vision(_weights(reference, theirs), config=config)
    images = jnp.asarray(reference["images"][0])
    run = jax.jit(lambda p, x: vit.apply(p, x, config=config))
    with jax.default_matmul_precision("highest"):
        outputs = run(params, images)
    for name, ours in outputs._asdict().items():
        expected = reference[f"{theirs}/{name}"]
        apart = np.abs(np.asarray(ours)[: len(expected)] - expected).max()
        assert apart <= 1e-5 * np.abs(expected).max(), name


@pytest.mark.parametrize(("head", "theirs"), [("map", "map"), ("gap", "gap"), ("token", "tok")])
def test_there_and_back(reference: dict[str, np.ndarray], head: Head, theirs: str) -> None:
    named = _weights(reference, theirs)
    params = big_vision.from_big_vision(named, config=_config(head))
    shapes = jax.eval_shape(lambda: vit.init(_config(head), key=jax.random.key(0)))
    assert jax.tree.structure(params) == jax.tree.structure(shapes)
    back = big_vision.to_big_vision(params)
    assert back.keys() == named.keys()
    for name in named:
        np.testing.assert_array_equal(back[name], named[name])


def test_names_without_counterpart_are_listed_on_both_sides(
    reference: dict[str, np.ndarray],
) -> None:
    named = _weights(reference, "map")
    named["pre_logits/kernel"] = named.pop("pos_embedding")
    with pytest.raises(InputError, match="missing pos_embedding; not expected pre_logits/kernel"):
        big_vision.from_big_vision(named, config=_config())
    with pytest.raises(InputError, match=r"not expected MAPHead_0/.*and 10 more"):
        big_vision.from_big_vision(_weights(reference, "map"), config=_config("gap"))
    with pytest.raises(InputError, match="missing Transformer/encoderblock_2/"):
        big_vision.from_big_vision(_weights(reference, "map"), config=_config(depth=3))


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"classes": 11}, r"head/kernel: expected \[64, 11\], got \[64, 10\]"),
        ({"resolution": 40}, r"pos_embedding: expected \[1, 25, 64\], got \[1, 16, 64\]"),
        ({"heads": 4}, r"key/bias: expected \[4, 16\], got \[2, 32\]"),
    ],
)
def test_other_shapes_are_refused(
    reference: dict[str, np.ndarray], change: dict[str, int], wrong: str
) -> None:
    with pytest.raises(InputError, match=wrong):
        big_vision.from_big_vision(_weights(reference, "map"), config=_config(**change))
