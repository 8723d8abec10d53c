"""Names of torch codebases for the parts of a vision transformer: one table a layout.

Dense weights are [outputs, inputs] there and [inputs, outputs] here, with heads as axes; a
convolution is [d, 3, p, p] there and [p, p, 3, d] here. A [class] token's position embedding is a
row of theirs and part of the token here: the sum is what the model computes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

import numpy as np

from vitctl.interop.matching import Array, TensorGroup, in_blocks
from vitctl.model.config import ModelConfig
from vitctl.model.heads import Pooling

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Names:
    """What a layout calls each part; None where it has no such part. `{}` is the layer.

    Attributes:
      base: in front of all but the classifier, as in `vit.`; detection finds it.
      patch_shape: of the patch embedding's weight: a convolution, or a matrix over p p 3.
      position_rank: 3 is [1, n, d], 2 an embedding table [n, d].
      cls_shape: of the [class] token, by its rank.
      fused: name of the one matrix of query, key and value, if it is one.
      fused_dot: whether its parts are `.weight` and `.bias`, or `_weight` and `_bias`.
      separate: names of query, key and value, if they are three.
      head_outside: the classifier's name stands without the base.
    """

    patch: str
    position: str
    cls: str
    block: str
    out: str
    attention_norm: str
    mlp_norm: str
    up: str
    down: str
    norm: str
    patch_matrix: bool = False
    position_rank: int = 3
    cls_rank: int = 3
    fused: str | None = None
    fused_join: Literal[".", "_"] = "."
    separate: tuple[str, str, str] | None = None
    registers: str | None = None
    attention_scale: str | None = None
    mlp_scale: str | None = None
    query_norm: str | None = None
    key_norm: str | None = None
    stem_norm: str | None = None
    norm_after: str | None = None
    map_head: str | None = None
    map_style: Literal["timm", "torch"] = "timm"
    pre_logits: str | None = None
    projection: str | None = None
    projection_turned: bool = False
    head: str | None = None
    head_outside: bool = True


TIMM = Names(
    patch="patch_embed.proj",
    position="pos_embed",
    cls="cls_token",
    registers="reg_token",
    block="blocks.{}.",
    fused="attn.qkv",
    out="attn.proj",
    attention_norm="norm1",
    mlp_norm="norm2",
    up="mlp.fc1",
    down="mlp.fc2",
    norm="norm",
    norm_after="fc_norm",
    stem_norm="norm_pre",
    query_norm="attn.q_norm",
    key_norm="attn.k_norm",
    attention_scale="ls1.gamma",
    mlp_scale="ls2.gamma",
    map_head="attn_pool",
    head="head",
    head_outside=False,
)
HF_VIT = Names(
    patch="embeddings.patch_embeddings.projection",
    position="embeddings.position_embeddings",
    cls="embeddings.cls_token",
    block="encoder.layer.{}.",
    separate=(
        "attention.attention.query",
        "attention.attention.key",
        "attention.attention.value",
    ),
    out="attention.output.dense",
    attention_norm="layernorm_before",
    mlp_norm="layernorm_after",
    up="intermediate.dense",
    down="output.dense",
    norm="layernorm",
    pre_logits="pooler.dense",
    head="classifier",
)
HF_DINOV2 = Names(
    patch="embeddings.patch_embeddings.projection",
    position="embeddings.position_embeddings",
    cls="embeddings.cls_token",
    registers="embeddings.register_tokens",
    block="encoder.layer.{}.",
    separate=(
        "attention.attention.query",
        "attention.attention.key",
        "attention.attention.value",
    ),
    out="attention.output.dense",
    attention_norm="norm1",
    mlp_norm="norm2",
    up="mlp.fc1",
    down="mlp.fc2",
    norm="layernorm",
    attention_scale="layer_scale1.lambda1",
    mlp_scale="layer_scale2.lambda1",
)
HF_SIGLIP = Names(
    patch="embeddings.patch_embedding",
    position="embeddings.position_embedding.weight",
    position_rank=2,
    cls="embeddings.class_embedding",
    cls_rank=1,
    block="encoder.layers.{}.",
    separate=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    out="self_attn.out_proj",
    attention_norm="layer_norm1",
    mlp_norm="layer_norm2",
    up="mlp.fc1",
    down="mlp.fc2",
    norm="post_layernorm",
    map_head="head",
    map_style="torch",
    head="classifier",
)
HF_CLIP = Names(
    patch="embeddings.patch_embedding",
    position="embeddings.position_embedding.weight",
    position_rank=2,
    cls="embeddings.class_embedding",
    cls_rank=1,
    block="encoder.layers.{}.",
    separate=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    out="self_attn.out_proj",
    attention_norm="layer_norm1",
    mlp_norm="layer_norm2",
    up="mlp.fc1",
    down="mlp.fc2",
    norm="post_layernorm",
    stem_norm="pre_layrnorm",
    projection="visual_projection.weight",
)
OPEN_CLIP = Names(
    patch="conv1",
    position="positional_embedding",
    position_rank=2,
    cls="class_embedding",
    cls_rank=1,
    block="transformer.resblocks.{}.",
    fused="attn.in_proj",
    fused_join="_",
    out="attn.out_proj",
    attention_norm="ln_1",
    mlp_norm="ln_2",
    up="mlp.c_fc",
    down="mlp.c_proj",
    norm="ln_post",
    stem_norm="ln_pre",
    projection="proj",
    projection_turned=True,
)


def groups(
    config: ModelConfig, names: Names, *, base: str, embedded: int, tokens: int
) -> list[TensorGroup]:
    """The tensors of a model of `config` under `names`.

    Args:
      base: in front of all names but, with `head_outside`, the classifier's.
      embedded: how many of the tokens in front of the patches have position embeddings.
      tokens: rows of position embeddings for patches, as the file has them.
    """
    return list(_Writer(config, names, base, embedded, tokens).all())


@dataclass(frozen=True)
class _Writer:
    config: ModelConfig
    names: Names
    base: str
    embedded: int
    tokens: int

    def all(self) -> Iterator[TensorGroup]:
        config, names, base = self.config, self.names, self.base
        yield from self._stem()
        for layer in range(config.depth):
            yield from self._block(layer)
        norm = names.norm_after if config.norm_after_pool else names.norm
        yield from _norm(f"{base}{norm}", config.width, "norm")
        for pooling in config.poolings:
            yield from self._pooling(pooling)
        if config.pre_logits is not None:
            yield from self._projection(config.pre_logits)
        if config.classes and names.head is not None:
            head = names.head if names.head_outside else f"{base}{names.head}"
            yield from _dense(head, (config.features,), (config.classes,), "head")

    def _stem(self) -> Iterator[TensorGroup]:
        config, names, base = self.config, self.names, self.base
        d, p = config.width, config.patch
        shape: Shape = (d, 3, p, p)
        read, write = _from_convolution, _to_convolution
        if names.patch_matrix:
            shape = (d, p * p * 3)

            def read(arrays: Sequence[Array]) -> list[Array]:
                return [arrays[0].T.reshape(p, p, 3, d)]

            def write(arrays: Sequence[Array]) -> list[Array]:
                return [arrays[0].reshape(p * p * 3, d).T]

        yield TensorGroup(
            {f"{base}{names.patch}.weight": shape}, ("embedding/kernel",), read, write
        )
        if config.patch_bias:
            yield _vector(f"{base}{names.patch}.bias", (d,), "embedding/bias")
        yield self._tokens()
        if config.stem_norm:
            yield from _norm(f"{base}{names.stem_norm}", d, "stem_norm")

    def _tokens(self) -> TensorGroup:
        """[class] token, registers and position embeddings: rows of theirs are added to ours."""
        config, names, base = self.config, self.names, self.base
        d, rows = config.width, self.embedded + self.tokens
        ours = ["position"]
        theirs: dict[str, Shape] = {
            f"{base}{names.position}": (1, rows, d) if names.position_rank == 3 else (rows, d)
        }
        counts = []
        if config.class_tokens:
            theirs[f"{base}{names.cls}"] = (1, 1, d) if names.cls_rank == 3 else (d,)
            ours.append("cls")
            counts.append(1)
        if config.registers:
            theirs[f"{base}{names.registers}"] = (1, config.registers, d)
            ours.append("registers")
            counts.append(config.registers)

        def read(arrays: Sequence[Array]) -> list[Array]:
            table = arrays[0].reshape(rows, d)
            made, at = [table[None, self.embedded :]], 0
            for count, array in zip(counts, arrays[1:], strict=True):
                token = array.reshape(1, count, d)
                if at + count <= self.embedded:
                    token = token + table[None, at : at + count]
                made.append(token)
                at += count
            return made

        def write(arrays: Sequence[Array]) -> list[Array]:
            before = np.zeros((self.embedded, d), np.float32)
            return [np.concatenate([before, arrays[0].reshape(-1, d)]), *arrays[1:]]

        return TensorGroup(theirs, tuple(ours), read, write)

    def _block(self, layer: int) -> Iterator[TensorGroup]:
        config, names = self.config, self.names
        d, f, h, k = config.width, config.mlp_dim, config.heads, config.head_dim
        base = self.base + names.block.format(layer)
        yield from _norm(f"{base}{names.attention_norm}", d, "attention_norm", layer=layer)
        yield from self._queries(base, layer)
        yield from _dense(f"{base}{names.out}", (h, k), (d,), "attention/out", layer=layer)
        if config.qk_norm:
            yield from _norm(f"{base}{names.query_norm}", k, "attention/query_norm", layer=layer)
            yield from _norm(f"{base}{names.key_norm}", k, "attention/key_norm", layer=layer)
        yield from _norm(f"{base}{names.mlp_norm}", d, "mlp_norm", layer=layer)
        yield from _dense(f"{base}{names.up}", (d,), (f,), "mlp/up", layer=layer)
        yield from _dense(f"{base}{names.down}", (f,), (d,), "mlp/down", layer=layer)
        if config.layer_scale is not None:
            for name, ours in (
                (names.attention_scale, "attention_scale/scale"),
                (names.mlp_scale, "mlp_scale/scale"),
            ):
                yield _vector(f"{base}{name}", (d,), ours, layer=layer)

    def _queries(self, base: str, layer: int) -> Iterator[TensorGroup]:
        config, names = self.config, self.names
        if names.fused is not None:
            name = f"{base}{names.fused}{names.fused_join}"
            yield from _fused(
                name, ("query", "key", "value"), config, "attention", layer=layer,
                bias=config.qkv_bias,
            )  # fmt: skip
            return
        assert names.separate is not None
        outputs = (config.heads, config.head_dim)
        for name, ours in zip(names.separate, ("query", "key", "value"), strict=True):
            yield from _dense(
                f"{base}{name}", (config.width,), outputs, f"attention/{ours}", layer=layer,
                bias=config.qkv_bias,
            )  # fmt: skip

    def _pooling(self, pooling: Pooling) -> Iterator[TensorGroup]:
        match pooling:
            case "probe":
                yield from self._map_head()
            case "mean" | "class_token":  # nothing but the tokens
                pass
            case _:
                assert_never(pooling)

    def _map_head(self) -> Iterator[TensorGroup]:
        config, names = self.config, self.names
        d, f, h, k = config.width, config.mlp_dim, config.heads, config.head_dim
        base = f"{self.base}{names.map_head}."
        if names.map_style == "timm":
            yield _vector(f"{base}latent", (1, 1, d), "map_head/probe")
            yield from _dense(f"{base}q", (d,), (h, k), "map_head/attention/query")
            yield from _fused(f"{base}kv.", ("key", "value"), config, "map_head/attention")
            out, norm = "proj", "norm"
        else:
            yield _vector(f"{base}probe", (1, 1, d), "map_head/probe")
            parts = ("query", "key", "value")
            yield from _fused(f"{base}attention.in_proj_", parts, config, "map_head/attention")
            out, norm = "attention.out_proj", "layernorm"
        yield from _dense(f"{base}{out}", (h, k), (d,), "map_head/attention/out")
        yield from _norm(f"{base}{norm}", d, "map_head/norm")
        yield from _dense(f"{base}mlp.fc1", (d,), (f,), "map_head/mlp/up")
        yield from _dense(f"{base}mlp.fc2", (f,), (d,), "map_head/mlp/down")

    def _projection(self, features: int) -> Iterator[TensorGroup]:
        config, names = self.config, self.names
        d = config.pooled
        match config.projection:
            case "tanh":
                name = f"{self.base}{names.pre_logits}"
                yield from _dense(name, (d,), (features,), "pre_logits")
            case "linear" if names.projection_turned:
                yield _vector(f"{self.base}{names.projection}", (d, features), "pre_logits/kernel")
            case "linear":
                yield TensorGroup(
                    {f"{names.projection}": (features, d)},
                    ("pre_logits/kernel",),
                    lambda arrays: [arrays[0].T],
                    lambda arrays: [arrays[0].T],
                )
            case _:
                assert_never(config.projection)


def _from_convolution(arrays: Sequence[Array]) -> list[Array]:
    return [arrays[0].transpose(2, 3, 1, 0)]


def _to_convolution(arrays: Sequence[Array]) -> list[Array]:
    return [arrays[0].transpose(3, 2, 0, 1)]


def _ours(name: str, layer: int | None) -> str:
    return name if layer is None else in_blocks(name)


def _vector(name: str, shape: Shape, ours: str, *, layer: int | None = None) -> TensorGroup:
    """The same array on both sides."""
    return TensorGroup({name: shape}, (_ours(ours, layer),), list, list, layer)


def _norm(name: str, width: int, ours: str, *, layer: int | None = None) -> Iterator[TensorGroup]:
    yield _vector(f"{name}.weight", (width,), f"{ours}/scale", layer=layer)
    yield _vector(f"{name}.bias", (width,), f"{ours}/bias", layer=layer)


def _dense(
    name: str,
    inputs: Shape,
    outputs: Shape,
    ours: str,
    *,
    layer: int | None = None,
    bias: bool = True,
) -> Iterator[TensorGroup]:
    rows, columns = math.prod(outputs), math.prod(inputs)
    yield TensorGroup(
        {f"{name}.weight": (rows, columns)},
        (_ours(f"{ours}/kernel", layer),),
        lambda arrays: [arrays[0].T.reshape(*inputs, *outputs)],
        lambda arrays: [arrays[0].reshape(columns, rows).T],
        layer,
    )
    if bias:
        yield TensorGroup(
            {f"{name}.bias": (rows,)},
            (_ours(f"{ours}/bias", layer),),
            lambda arrays: [arrays[0].reshape(outputs)],
            lambda arrays: [arrays[0].reshape(rows)],
            layer,
        )


def _fused(
    name: str,
    parts: tuple[str, ...],
    config: ModelConfig,
    ours: str,
    *,
    layer: int | None = None,
    bias: bool = True,
) -> Iterator[TensorGroup]:
    """One matrix of query, key and value (or of the last two), one after another."""
    d, heads = config.width, (config.heads, config.head_dim)
    yield TensorGroup(
        {f"{name}weight": (len(parts) * d, d)},
        tuple(_ours(f"{ours}/{part}/kernel", layer) for part in parts),
        lambda arrays: [part.T.reshape(d, *heads) for part in np.split(arrays[0], len(parts))],
        lambda arrays: [np.concatenate([array.reshape(d, d).T for array in arrays])],
        layer,
    )
    if bias:
        yield TensorGroup(
            {f"{name}bias": (len(parts) * d,)},
            tuple(_ours(f"{ours}/{part}/bias", layer) for part in parts),
            lambda arrays: [part.reshape(heads) for part in np.split(arrays[0], len(parts))],
            lambda arrays: [np.concatenate([array.reshape(d) for array in arrays])],
            layer,
        )
