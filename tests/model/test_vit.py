from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from vitctl.model import vit
from vitctl.model.config import ModelConfig, from_name

Images = Callable[..., Array]


@pytest.fixture(scope="module")
def config() -> ModelConfig:
    return from_name("test", classes=5, resolution=20)


@pytest.fixture(scope="module")
def params(config: ModelConfig) -> vit.Params:
    """Nothing zero and nothing equal, so that a term left out or swapped shows."""
    return _random(config)


def _random(config: ModelConfig) -> vit.Params:
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: vit.init(config, key=jax.random.key(0)))
    return jax.tree.map(lambda s: jnp.asarray(rng.normal(0, 0.2, s.shape), jnp.float32), shapes)


def test_every_way_to_run_gives_the_same_numbers(images: Images) -> None:
    # The MAP head and learned positions are outside the loop over blocks; without them the
    # gradients compile in half the time.
    config = from_name("test", classes=5, resolution=20, head="gap", position="sincos2d")
    params, x = _random(config), images(config)

    def loss(params: vit.Params, how: dict[str, Any]) -> Array:
        return jnp.sum(jnp.sin(vit.apply(params, x, config=config, **how).logits))

    ways = [
        {"scan": True, "remat": "none"},
        {"scan": True, "remat": "full"},
        {"scan": False, "remat": "dots"},
    ]
    quick = {"xla_backend_optimization_level": 0}
    results = [
        jax.jit(jax.value_and_grad(partial(loss, how=how)), compiler_options=quick)(params)
        for how in ways
    ]
    for value, grads in results[1:]:
        np.testing.assert_allclose(value, results[0][0], rtol=1e-6)
        # fp32 sums in another order: a few ulp of the largest gradient, about 1.
        close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
        jax.tree.map(close, grads, results[0][1])


@pytest.mark.parametrize("remat", ["full", "dots"])
def test_remat_changes_the_backward_pass(
    config: ModelConfig, params: vit.Params, images: Images, remat: str
) -> None:
    x = images(config)

    def saved(remat: str) -> int:
        def loss(params: vit.Params) -> Array:
            out = vit.apply(params, x, config=config, remat=remat)
            return jnp.sum(out.logits)

        residuals = jax.eval_shape(lambda p: jax.vjp(loss, p)[1], params)
        return sum(r.size for r in jax.tree.leaves(residuals))

    assert saved(remat) < saved("none")
    assert saved("full") <= saved(remat)


def test_patch_embedding_is_a_valid_convolution(
    config: ModelConfig, params: vit.Params, images: Images
) -> None:
    assert config.resolution % config.patch, "else no pixels are dropped"
    x = images(config)
    kernel = params["embedding"]["kernel"]
    convolved = jax.lax.conv_general_dilated(
        x, kernel, (config.patch,) * 2, "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    patches = vit._patches(x, config=config)
    ours = jnp.tensordot(patches, kernel, axes=3)
    np.testing.assert_allclose(ours, convolved, rtol=1e-5, atol=1e-5)
    assert ours.shape == (2, config.grid, config.grid, config.width)


def test_dropped_pixels_do_not_matter(
    config: ModelConfig, params: vit.Params, images: Images
) -> None:
    x = images(config)
    values = config.grid * config.patch
    run = jax.jit(lambda x: vit.apply(params, x, config=config).logits)
    np.testing.assert_array_equal(run(x), run(x.at[:, values:].set(9.0).at[:, :, values:].set(9.0)))
    assert not np.array_equal(run(x), run(x.at[:, values - 1].set(9.0)))


def test_images_of_another_size_are_refused(config: ModelConfig, params: vit.Params) -> None:
    with pytest.raises(ValueError, match=r"expected images \[b, 20, 20, 3\], got \[2, 24, 24, 3\]"):
        vit.apply(params, jnp.zeros((2, 24, 24, 3)), config=config)


def test_half_precision_is_close_and_stays_outside_the_delicate_parts(
    config: ModelConfig, params: vit.Params, images: Images
) -> None:
    x = images(config)
    run = partial(vit.apply, params, config=config)
    half = jax.jit(partial(run, compute_dtype=jnp.bfloat16))(x)
    full = jax.jit(run)(x)
    assert {o.dtype for o in half} == {jnp.dtype(jnp.float32)}
    # bf16 keeps 8 bits; a handful of roundings of the residual stream, which is of order 1.
    np.testing.assert_allclose(half.encoded, full.encoded, atol=0.1)
    assert not np.array_equal(half.encoded, full.encoded)

    jaxpr = jax.make_jaxpr(partial(run, compute_dtype=jnp.bfloat16))(x)
    by_name: dict[str, list[str]] = {}
    for equation in _equations(jaxpr.jaxpr):
        types = {str(v.aval.dtype) for v in equation.invars if hasattr(v.aval, "dtype")}
        by_name.setdefault(equation.primitive.name, []).append("+".join(sorted(types)))
    assert set(by_name["exp"]) == {"float32"}, "softmax"
    assert set(by_name["rsqrt"]) == {"float32"}, "norms"
    # Embedding; q, k, v, two products of attention, out, two of the MLP in the one scanned block;
    # then the MAP head's eight and the classifier.
    assert by_name["dot_general"] == ["bfloat16"] * 9 + ["float32"] * 9


def _equations(jaxpr: Any) -> Iterator[Any]:
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.tree.leaves(
            list(equation.params.values()),
            is_leaf=lambda p: isinstance(p, jax.extend.core.ClosedJaxpr | jax.extend.core.Jaxpr),
        ):
            if isinstance(inner, jax.extend.core.ClosedJaxpr):
                yield from _equations(inner.jaxpr)
            elif isinstance(inner, jax.extend.core.Jaxpr):
                yield from _equations(inner)


def test_activations_are_offered_for_sharding_with_their_axes(
    config: ModelConfig, params: vit.Params
) -> None:
    sizes = {
        "b": 3, "n": config.tokens, "m": config.tokens, "d": config.width, "h": config.heads,
        "k": config.head_dim, "f": config.mlp_dim, "y": config.classes,
    }  # fmt: skip
    calls = []

    def constrain(x: Array, axes: str) -> Array:
        expected = [sizes[a] for a in axes]
        probe = [1 if a == "n" else sizes[a] for a in axes]  # the MAP head's only query
        assert list(x.shape) in (expected, probe)
        calls.append(axes)
        return x

    x = jax.ShapeDtypeStruct((3, 20, 20, 3), jnp.float32)
    run = partial(vit.apply, config=config, activation_sharding=constrain)
    jax.eval_shape(run, params, x)
    # In the one scanned block: its input and two norms; queries and results; keys and values; MLP.
    block = {"bnd": 3, "bnhk": 2, "bmhk": 2, "bnf": 1}
    outside = {"bnd": 2, "bnhk": 2, "bmhk": 2, "bnf": 1, "bd": 1, "by": 1}
    expected = {a: block.get(a, 0) + outside.get(a, 0) for a in block | outside}
    assert {a: calls.count(a) for a in set(calls)} == expected
