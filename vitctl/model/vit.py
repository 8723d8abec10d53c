"""The vision transformer as two pure functions: `init` makes parameters, `apply` uses them.

Parameters are one nested dict of fp32 arrays, whatever way they are computed with. The blocks are
stacked: every array under `blocks` has a leading layer axis, and `apply` scans over it (compile
time does not grow with depth) or unrolls it; the tree is the same.

    embedding/{kernel [p p 3 d], bias}   position [1 n d]   cls [1 1 d]   registers [1 r d]
    stem_norm/{scale, bias}
    blocks/{attention_norm, mlp_norm}/{scale, bias}
    blocks/attention/{query, key, value}/{kernel [d h k], bias [h k]}
    blocks/attention/out/{kernel [h k d], bias}
    blocks/attention/{query_norm, key_norm}/{scale [k], bias [k]}
    blocks/{attention_scale, mlp_scale}/scale [d]
    blocks/mlp/{up, down, gate}/{kernel, bias}
    norm/{scale, bias}
    map_head/{probe [1 1 d], attention, norm, mlp}
    pre_logits/{kernel, bias}   head/{kernel [d y], bias}

A part that a configuration leaves out has no name in its tree. With a distillation token `cls` is
[1 2 d]: the [class] token comes first.

Initialisation is the table in `vitctl.model.layers`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, assert_never

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from vitctl.model import part as parts
from vitctl.model import posemb
from vitctl.model.config import HALF, ModelConfig, projection_has_bias
from vitctl.model.heads import Pooling
from vitctl.model.layers import (
    ActivationSharding,
    Block,
    Dense,
    How,
    Initializer,
    MapHead,
    Norm,
    WeightUse,
    form_of,
    lecun_normal,
    zeros,
)
from vitctl.model.part import BlockRange, Part
from vitctl.model.remat import Remat
from vitctl.model.roles import STACKED

Params = dict[str, Any]

SAVED: dict[Remat, tuple[str, ...]] = {
    "dots": ("qkv", "mix", "attended", "up"),
    "mlp": ("up",),
    "full": (),
}
"""What each rung keeps of a block for the backward pass, besides its input; names are given in
`vitctl.model.layers`. With "dots" no product with a weight is computed twice, only queries times
keys, softmax, norms and nonlinearities; "mlp" computes attention again; "full" everything."""


class Outputs(NamedTuple):
    """What the model computes. Under jit, whatever the caller leaves unused is never computed.

    Attributes:
      logits: classifier outputs, fp32.
      pre_logits: the features that the classifier, and few-shot regression, see; fp32.
      encoded: tokens after the final norm, fp32; the [class] token, if any, comes first, then
        registers. With `norm_after_pool`, tokens before that norm.
    """

    logits: Float[Array, "b y"]
    pre_logits: Float[Array, "b e"]
    encoded: Float[Array, "b n d"]


class Vit(nnx.Module):
    """Patches, blocks, pooling, classifier. In the order of big_vision's `models/vit.py`."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs) -> None:
        self.config = config
        d, p = config.width, config.patch
        norm = partial(Norm, d, epsilon=config.norm_epsilon, rngs=rngs)
        self.embedding = Dense(
            (p, p, 3), (d,), kernel=lecun_normal, bias=_bias_if(config.patch_bias), rngs=rngs
        )
        self.position = _position(config, rngs=rngs)
        self.cls = _class_tokens(config, rngs=rngs)
        self.registers = _registers(config, rngs=rngs)
        self.stem_norm = norm() if config.stem_norm else None
        self.blocks = _stacked_blocks(config, key=rngs.params())
        self.norm = norm()
        self.map_head = _map_head(config, rngs=rngs)
        e, hidden = config.features, config.pre_logits is not None
        projected = _bias_if(projection_has_bias(config.projection))
        projection = partial(Dense, (config.pooled,), (e,), kernel=lecun_normal, bias=projected)
        self.pre_logits = projection(rngs=rngs) if hidden else None
        bias = jax.nn.initializers.constant(config.head_bias)
        classifier = partial(Dense, (e,), (config.classes,), kernel=zeros, bias=bias)
        self.head = classifier(rngs=rngs) if config.classes else None

    def __call__(
        self,
        images: Float[Array, "b i j 3"],
        *,
        how: How,
        remat: Remat,
        scan: bool,
        part: Part | None = None,
    ) -> Outputs:
        x = _patches(_normalised(images, config=self.config).astype(how.dtype), config=self.config)
        x = self.embedding(x, dtype=how.dtype).astype(jnp.float32)
        x = x.reshape(x.shape[0], self.config.tokens, self.config.width)
        x = x + self._positions()
        prefix = [p[...] for p in (self.cls, self.registers) if p is not None]
        if prefix:
            repeated = [jnp.broadcast_to(p, (x.shape[0], *p.shape[1:])) for p in prefix]
            x = jnp.concatenate([*repeated, x], axis=1)
        if self.stem_norm is not None:
            x = self.stem_norm(x, dtype=x.dtype)
        x = how.constrain(x.astype(how.dtype), "bnd")
        x = _run_blocks(self.blocks, x, how=how, remat=remat, scan=scan, part=part)

        exact = How(dtype=jnp.dtype(jnp.float32), constrain=how.constrain)
        after = self.config.norm_after_pool
        x = x.astype(exact.dtype) if after else self.norm(x, dtype=exact.dtype)
        encoded = exact.constrain(x, "bnd")
        x = self._pool(encoded, how=exact)
        if after:
            x = self.norm(x, dtype=exact.dtype)
        if self.pre_logits is not None:
            x = self._projected(self.pre_logits(x, dtype=exact.dtype))
        pre_logits = exact.constrain(x, "bd")
        if self.head is None:
            logits = jnp.zeros((x.shape[0], 0), exact.dtype)
        else:
            logits = exact.constrain(self.head(x, dtype=exact.dtype), "by")
        return Outputs(logits=logits, pre_logits=pre_logits, encoded=encoded)

    def _projected(self, x: Float[Array, "b e"]) -> Float[Array, "b e"]:
        match self.config.projection:
            case "tanh":
                return jnp.tanh(x)
            case "linear":
                return x
            case _:
                assert_never(self.config.projection)

    def _positions(self) -> Float[Array, "1 n d"] | Float[np.ndarray, "1 n d"]:
        """Position embeddings of the patches."""
        fixed = posemb.fixed(self.config)
        if fixed is not None:
            return fixed
        assert self.position is not None  # see _position
        return self.position[...]

    def _pool(self, encoded: Float[Array, "b n d"], *, how: How) -> Float[Array, "b pooled"]:
        """One vector of all tokens: the poolings of the head, side by side."""
        vectors = [self._pooled(pooling, encoded, how=how) for pooling in self.config.poolings]
        return vectors[0] if len(vectors) == 1 else jnp.concatenate(vectors, axis=-1)

    def _pooled(
        self, pooling: Pooling, encoded: Float[Array, "b n d"], *, how: How
    ) -> Float[Array, "b d"]:
        match pooling:
            case "probe":
                assert self.map_head is not None  # see _map_head
                return self.map_head(encoded[:, self.config.prefix :], how=how)
            case "mean":
                return jnp.mean(encoded[:, self.config.prefix :], axis=1)
            case "class_token":
                return encoded[:, 0]
            case "distillation_token":
                return encoded[:, 1]
            case _:
                assert_never(pooling)


def init(config: ModelConfig, *, key: PRNGKeyArray) -> Params:
    """Draw the parameters of `config`: a nested dict of fp32 arrays, blocks stacked.

    Layer i's block is drawn from `fold_in(block key, i)`, so it does not depend on the depth.
    Works under `jax.jit` (with output shardings) and `jax.eval_shape`.
    """
    return nnx.to_pure_dict(nnx.state(Vit(config, rngs=nnx.Rngs(params=key)), nnx.Param))


def apply(
    params: Params,
    images: Float[Array, "b i j 3"],
    *,
    config: ModelConfig,
    compute_dtype: Any = jnp.float32,
    remat: Remat = "none",
    scan: bool = True,
    activation_sharding: ActivationSharding | None = None,
    weight_use: WeightUse | None = None,
    part: Part | None = None,
) -> Outputs:
    """Run the model on images of value range [-1, 1].

    Args:
      params: as made by `init` for the same `config`.
      images: [b, resolution, resolution, 3], any float type.
      config: the model.
      compute_dtype: type of matrix multiplications and of the residual stream between blocks.
        Norms, softmax, position embeddings, the pooling head and the classifier stay in fp32.
      remat: what the backward pass computes again, per block: from nothing to everything (least
        memory); see `SAVED`.
      scan: scan over the stacked layers, or unroll them. The same numbers up to rounding.
      activation_sharding: see `layers.How.constrain`.
      weight_use: called as `weight_use(params, prefix, dtype)` where parameters are used: on those
        of one layer inside the scan (prefix "blocks/", no layer axis) and on the others (prefix
        ""). May gather what is divided over devices; must return the same values up to rounding
        to `dtype`, the type they are multiplied in.
      part: the parameters to differentiate by where the others are constant; they take the place
        of those in `params`. Blocks in which other parameters are trained are another scan, so that
        no gradient is computed which is not asked for. None: all of them, those in `params`.

    Raises:
      ValueError: the images are not of the configured resolution.
    """
    side = config.resolution
    if images.ndim != 4 or images.shape[1:] != (side, side, 3):
        raise ValueError(f"expected images [b, {side}, {side}, 3], got {list(images.shape)}")
    how = How(dtype=jnp.dtype(compute_dtype))
    if activation_sharding is not None:
        how = how._replace(constrain=activation_sharding)
    if weight_use is not None:
        how = how._replace(use=weight_use)
    if part is not None:
        params = parts.without_blocks(params, part.params)
    if weight_use is not None:
        # In the types that `Vit.__call__` multiplies with them; blocks gather their own, in turn.
        low = {"embedding": params["embedding"]}
        exact = {key: value for key, value in params.items() if key not in (*low, STACKED)}
        params = {
            **how.use(low, "", how.dtype),
            **how.use(exact, "", jnp.dtype(jnp.float32)),
            STACKED: params[STACKED],
        }
    graph = nnx.graphdef(nnx.eval_shape(lambda: Vit(config, rngs=nnx.Rngs(params=0))))
    return nnx.merge(graph, params)(images, how=how, remat=remat, scan=scan, part=part)


def _normalised(images: Float[Array, "b i j 3"], *, config: ModelConfig) -> Array:
    """Images of [-1, 1] as the patch embedding was trained to see them."""
    if config.pixel_mean == config.pixel_std == HALF:
        return images
    mean, std = np.array(config.pixel_mean), np.array(config.pixel_std)
    factor, shift = (0.5 / std).astype(np.float32), ((0.5 - mean) / std).astype(np.float32)
    return images.astype(jnp.float32) * factor[None, None, None] + shift[None, None, None]


def _patches(images: Float[Array, "b i j 3"], *, config: ModelConfig) -> Array:
    """[b x c p p 3]: a convolution whose stride is its size is a matmul over patches.

    Rows and columns of pixels that do not fill a patch are dropped, as a VALID convolution does.
    """
    grid, p = config.grid, config.patch
    images = images[:, : grid * p, : grid * p]
    images = images.reshape(images.shape[0], grid, p, grid, p, 3)
    return images.transpose(0, 1, 3, 2, 4, 5)


# A part that is left out draws no key: which keys the parts after it get is part of the golden
# initialisation.


def _position(config: ModelConfig, *, rngs: nnx.Rngs) -> nnx.Param | None:
    match config.position:
        case "learned":
            normal = jax.nn.initializers.normal(config.width**-0.5)
            shape = (1, config.tokens, config.width)
            return nnx.Param(normal(rngs.params(), shape, jnp.float32))
        case "sincos2d":
            return None
        case _:
            assert_never(config.position)


def _class_tokens(config: ModelConfig, *, rngs: nnx.Rngs) -> nnx.Param | None:
    if not config.class_tokens:
        return None
    first = zeros(rngs.params(), (1, 1, config.width), jnp.float32)
    # Not as the first: two tokens that begin equal, and are read alike, stay equal.
    small = jax.nn.initializers.normal(0.02)
    others = (
        small(rngs.params(), (1, 1, config.width), jnp.float32)
        for _ in range(config.class_tokens - 1)
    )
    return nnx.Param(jnp.concatenate([first, *others], axis=1))


def _registers(config: ModelConfig, *, rngs: nnx.Rngs) -> nnx.Param | None:
    if not config.registers:
        return None
    small = jax.nn.initializers.normal(1e-6)
    return nnx.Param(small(rngs.params(), (1, config.registers, config.width), jnp.float32))


def _bias_if(wanted: bool) -> Initializer | None:
    return zeros if wanted else None


def _map_head(config: ModelConfig, *, rngs: nnx.Rngs) -> MapHead | None:
    if "probe" not in config.poolings:
        return None
    return MapHead(config.width, form=form_of(config), rngs=rngs)


def _block(config: ModelConfig, *, key: PRNGKeyArray | int) -> Block:
    return Block(config.width, form=form_of(config), rngs=nnx.Rngs(params=key))


def _stacked_blocks(config: ModelConfig, *, key: PRNGKeyArray) -> Block:
    """A Block whose every parameter has a leading layer axis.

    `fold_in` under `vmap` draws bitwise what a loop over layers would; `nnx.split_rngs` does not.
    """
    graph = nnx.graphdef(nnx.eval_shape(lambda: _block(config, key=0)))
    keys = jax.vmap(lambda layer: jax.random.fold_in(key, layer))(jnp.arange(config.depth))
    return nnx.merge(graph, jax.vmap(lambda k: nnx.state(_block(config, key=k)))(keys))


def _run_blocks(
    blocks: Block,
    x: Float[Array, "b n d"],
    *,
    how: How,
    remat: Remat,
    scan: bool,
    part: Part | None,
) -> Float[Array, "b n d"]:
    graph, state = nnx.split(blocks)
    stacked = nnx.to_pure_dict(state)

    def step(x: Array, layer: Params) -> tuple[Array, None]:
        return nnx.merge(graph, how.use(layer, f"{STACKED}/", how.dtype))(x, how=how), None

    if remat != "none":
        policy = jax.checkpoint_policies.save_only_these_names(*SAVED[remat])
        # Inside a scan the compiler cannot undo recomputation, so it need not be told not to.
        step = jax.checkpoint(step, policy=policy, prevent_cse=not scan)
    if part is None:
        return jax.lax.scan(step, x, stacked, unroll=not scan)[0]
    depth = jax.tree.leaves(stacked)[0].shape[0]
    for segment in parts.segments(part.layers, depth=depth):
        if segment.passed:
            layers = parts.of_segment(part, stacked, segment)
            x = jax.lax.scan(step, x, layers, unroll=not scan)[0]
        else:
            x = _forward_only(step, x, stacked, segment, scan=scan)
    return x


def _forward_only(
    step: Callable[[Array, Params], tuple[Array, None]],
    x: Float[Array, "b n d"],
    stacked: Params,
    segment: BlockRange,
    *,
    scan: bool,
) -> Float[Array, "b n d"]:
    """Constant blocks, which nothing is differentiated through. Each is taken out of the stack
    where it is used: a slice of the stack would be a copy of all their weights."""

    def numbered(x: Array, layer: Array) -> tuple[Array, None]:
        own = jax.tree.map(
            lambda w: jax.lax.dynamic_index_in_dim(w, layer, keepdims=False), stacked
        )
        return step(x, own)

    return jax.lax.scan(numbered, x, jnp.arange(segment.first, segment.end), unroll=not scan)[0]
