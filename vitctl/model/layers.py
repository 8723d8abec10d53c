"""The parts of a block: dense, norm, attention, MLP. Exactly the layers of big_vision's ViT.

Parameters are fp32 whatever the compute type. Matrix multiplications run in `How.dtype`;
softmax and norm statistics are computed in fp32 and rounded once.

Initialisation, all of it (https://github.com/google-research/big_vision `models/vit.py`):

| parameter | distribution |
|---|---|
| attention query, key, value, out kernels | Xavier uniform over the flattened matrix |
| MLP kernels | Xavier uniform |
| MLP biases | normal, std 1e-6 |
| other biases, [class] token, classifier kernel | zeros |
| distillation token | normal, std 0.02 |
| norm scales | ones |
| layer scales | the configured constant |
| registers | normal, std 1e-6 |
| patch embedding and tanh projection kernels | LeCun normal (truncated at two std) |
| learned position embeddings | normal, std 1/sqrt(width) |
| MAP probe [1, 1, d] | Xavier uniform: variance 2 / (1 + d) |
| classifier bias | the configured constant |
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, assert_never

import jax
import jax.numpy as jnp
from flax import nnx
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from vitctl.model.config import Gelu, ModelConfig, has_gates
from vitctl.model.config import Mlp as MlpKind

Initializer = jax.nn.initializers.Initializer
ActivationSharding = Callable[[Array, str], Array]
WeightUse = Callable[[dict[str, Any], str, jnp.dtype], dict[str, Any]]

xavier_uniform = jax.nn.initializers.xavier_uniform()
lecun_normal = jax.nn.initializers.lecun_normal()
zeros = jax.nn.initializers.zeros
ones = jax.nn.initializers.ones


class How(NamedTuple):
    """How to compute, as opposed to what: results agree up to rounding for any choice.

    Attributes:
      dtype: the type of matrix multiplications and of the residual stream.
      constrain: called as `constrain(x, axes)` on activations, with one letter per axis, e.g.
        "bnd"; may pin a sharding. Without it the partitioner is free, and has been seen to
        gather the whole global batch when only parameters are sharded.
      use: called on parameters where they are used; see `vit.apply`.
    """

    dtype: jnp.dtype = jnp.dtype(jnp.float32)
    constrain: ActivationSharding = lambda x, axes: x
    use: WeightUse = lambda params, prefix, dtype: params


class Form(NamedTuple):
    """What the blocks of a model are, but for their width; see `ModelConfig`."""

    heads: int
    mlp_dim: int
    mlp: MlpKind = "plain"
    gelu: Gelu = "tanh"
    epsilon: float = 1e-6
    qkv_bias: bool = True
    qk_norm: bool = False
    layer_scale: float | None = None


def form_of(config: ModelConfig) -> Form:
    """The form of a model's blocks."""
    return Form(
        heads=config.heads,
        mlp_dim=config.mlp_dim,
        mlp=config.mlp,
        gelu=config.gelu,
        epsilon=config.norm_epsilon,
        qkv_bias=config.qkv_bias,
        qk_norm=config.qk_norm,
        layer_scale=config.layer_scale,
    )


def _bias(bias: Array, *, like: Array) -> Array:
    """`bias` with as many axes as `like`, so that no rank is promoted silently."""
    return jnp.expand_dims(bias, tuple(range(like.ndim - bias.ndim))).astype(like.dtype)


class Dense(nnx.Module):
    """Contract the last `len(inputs)` axes with a kernel [*inputs, *outputs], then add a bias.

    The kernel is drawn as the flattened matrix [prod(inputs), prod(outputs)], so an initialiser
    sees the true fan-in of a kernel that is stored with separate head axes. Without a bias if that
    is None.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        *,
        rngs: nnx.Rngs,
        kernel: Initializer = xavier_uniform,
        bias: Initializer | None = zeros,
    ) -> None:
        matrix = kernel(rngs.params(), (math.prod(inputs), math.prod(outputs)), jnp.float32)
        self.kernel = nnx.Param(matrix.reshape(*inputs, *outputs))
        drawn = None if bias is None else nnx.Param(bias(rngs.params(), outputs, jnp.float32))
        self.bias = drawn
        self.contracted = len(inputs)

    def __call__(self, x: Float[Array, "*b_in"], *, dtype: jnp.dtype) -> Float[Array, "*b_out"]:
        x = jnp.tensordot(x.astype(dtype), self.kernel[...].astype(dtype), axes=self.contracted)
        return x if self.bias is None else x + _bias(self.bias[...], like=x)


class Norm(nnx.Module):
    """Layer norm over the last axis, computed in fp32."""

    def __init__(self, width: int, *, epsilon: float = 1e-6, rngs: nnx.Rngs) -> None:
        self.epsilon = epsilon
        self.scale = nnx.Param(ones(rngs.params(), (width,), jnp.float32))
        self.bias = nnx.Param(zeros(rngs.params(), (width,), jnp.float32))

    def __call__(self, x: Float[Array, "*b d"], *, dtype: jnp.dtype) -> Float[Array, "*b d"]:
        x = x.astype(jnp.float32)
        x = x - jnp.mean(x, axis=-1, keepdims=True)
        variance = jnp.mean(jnp.square(x), axis=-1, keepdims=True)
        x = x * jax.lax.rsqrt(variance + self.epsilon)
        x = x * _bias(self.scale[...], like=x) + _bias(self.bias[...], like=x)
        return x.astype(dtype)


class LayerScale(nnx.Module):
    """A learned factor a feature."""

    def __init__(self, width: int, *, initial: float, rngs: nnx.Rngs) -> None:
        constant = jax.nn.initializers.constant(initial)
        self.scale = nnx.Param(constant(rngs.params(), (width,), jnp.float32))

    def __call__(self, x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        return x * _bias(self.scale[...], like=x)


class Attention(nnx.Module):
    """Multi-head attention; `x` asks, `y` answers. No dropout."""

    def __init__(self, width: int, *, form: Form, rngs: nnx.Rngs) -> None:
        split = (form.heads, width // form.heads)
        bias = zeros if form.qkv_bias else None
        self.query = Dense((width,), split, bias=bias, rngs=rngs)
        self.key = Dense((width,), split, bias=bias, rngs=rngs)
        self.value = Dense((width,), split, bias=bias, rngs=rngs)
        self.out = Dense(split, (width,), rngs=rngs)
        norm = partial(Norm, split[1], epsilon=form.epsilon, rngs=rngs)
        self.query_norm = norm() if form.qk_norm else None
        self.key_norm = norm() if form.qk_norm else None

    def __call__(
        self, x: Float[Array, "b n d"], y: Float[Array, "b m d"], *, how: How
    ) -> Float[Array, "b n d"]:
        q = checkpoint_name(how.constrain(self.query(x, dtype=how.dtype), "bnhk"), "qkv")
        k = checkpoint_name(how.constrain(self.key(y, dtype=how.dtype), "bmhk"), "qkv")
        v = checkpoint_name(how.constrain(self.value(y, dtype=how.dtype), "bmhk"), "qkv")
        if self.query_norm is not None and self.key_norm is not None:
            q = self.query_norm(q, dtype=how.dtype)
            k = self.key_norm(k, dtype=how.dtype)
        q = q / jnp.sqrt(jnp.asarray(q.shape[-1], q.dtype))
        weights = jnp.einsum("bnhk,bmhk->bhnm", q, k)
        weights = jax.nn.softmax(weights.astype(jnp.float32), axis=-1).astype(how.dtype)
        x = how.constrain(jnp.einsum("bhnm,bmhk->bnhk", weights, v), "bnhk")
        x = checkpoint_name(x, "mix")
        return self.out(x, dtype=how.dtype)


class Mlp(nnx.Module):
    """Two dense layers with a GELU between, or with gates of a third layer (SwiGLU)."""

    def __init__(self, width: int, *, form: Form, rngs: nnx.Rngs) -> None:
        nearly_zero = jax.nn.initializers.normal(1e-6)
        self.gelu = form.gelu
        self.up = Dense((width,), (form.mlp_dim,), bias=nearly_zero, rngs=rngs)
        self.down = Dense((form.mlp_dim,), (width,), bias=nearly_zero, rngs=rngs)
        # Drawn last, so that the other two are those of a plain MLP with the same key.
        gate = partial(Dense, (width,), (form.mlp_dim,), bias=nearly_zero)
        self.gate = gate(rngs=rngs) if has_gates(form.mlp) else None

    def __call__(self, x: Float[Array, "b n d"], *, how: How) -> Float[Array, "b n d"]:
        hidden = checkpoint_name(how.constrain(self.up(x, dtype=how.dtype), "bnf"), "up")
        if self.gate is None:
            return self.down(gelu(hidden, form=self.gelu), dtype=how.dtype)
        gate = checkpoint_name(how.constrain(self.gate(x, dtype=how.dtype), "bnf"), "up")
        return self.down(jax.nn.silu(gate) * hidden, dtype=how.dtype)


def gelu(x: Float[Array, "*b f"], *, form: Gelu) -> Float[Array, "*b f"]:
    """x times the normal distribution's function of x, or an approximation of it."""
    match form:
        case "tanh":
            return jax.nn.gelu(x, approximate=True)
        case "exact":
            return jax.nn.gelu(x, approximate=False)
        case "quick":
            return x * jax.nn.sigmoid(1.702 * x)
        case _:
            assert_never(form)


class Block(nnx.Module):
    """Pre-norm transformer block: x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width: int, *, form: Form, rngs: nnx.Rngs) -> None:
        self.attention_norm = Norm(width, epsilon=form.epsilon, rngs=rngs)
        self.attention = Attention(width, form=form, rngs=rngs)
        self.mlp_norm = Norm(width, epsilon=form.epsilon, rngs=rngs)
        self.mlp = Mlp(width, form=form, rngs=rngs)
        self.attention_scale = _layer_scale(width, form=form, rngs=rngs)
        self.mlp_scale = _layer_scale(width, form=form, rngs=rngs)

    def __call__(self, x: Float[Array, "b n d"], *, how: How) -> Float[Array, "b n d"]:
        x = how.constrain(x, "bnd")
        y = how.constrain(self.attention_norm(x, dtype=how.dtype), "bnd")
        y = self.attention(y, y, how=how)
        x = checkpoint_name(x + _scaled(self.attention_scale, y), "attended")
        y = how.constrain(self.mlp_norm(x, dtype=how.dtype), "bnd")
        return x + _scaled(self.mlp_scale, self.mlp(y, how=how))


def _layer_scale(width: int, *, form: Form, rngs: nnx.Rngs) -> LayerScale | None:
    initial = form.layer_scale
    return None if initial is None else LayerScale(width, initial=initial, rngs=rngs)


def _scaled(scale: LayerScale | None, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
    return x if scale is None else scale(x)


class MapHead(nnx.Module):
    """Attention pooling: a learned probe asks all tokens, then an MLP with a residual.

    No residual from the probe and no norm on the tokens, as they come normed (paper section 3.2;
    "Set Transformer", https://arxiv.org/abs/1810.00825). Biases, no norm of queries and keys, and a
    plain MLP, whatever the blocks have.
    """

    def __init__(self, width: int, *, form: Form, rngs: nnx.Rngs) -> None:
        form = form._replace(qkv_bias=True, qk_norm=False, mlp="plain")
        self.probe = nnx.Param(xavier_uniform(rngs.params(), (1, 1, width), jnp.float32))
        self.attention = Attention(width, form=form, rngs=rngs)
        self.norm = Norm(width, epsilon=form.epsilon, rngs=rngs)
        self.mlp = Mlp(width, form=form, rngs=rngs)

    def __call__(self, x: Float[Array, "b n d"], *, how: How) -> Float[Array, "b d"]:
        probe = jnp.broadcast_to(self.probe[...], (x.shape[0], 1, x.shape[2]))
        y = self.attention(probe, x, how=how)
        y = y + self.mlp(self.norm(y, dtype=how.dtype), how=how)
        return y[:, 0]
