"""The tensors of a model under a torch codebase's names, and how each becomes ours and back.

Dense weights are [outputs, inputs] there and [inputs, outputs] here, with heads as axes; a
convolution is [d, 3, p, p] there and [p, p, 3, d] here. A [class] token's position embedding is a
row of theirs and part of the token here: the sum is what the model computes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np

from vitctl.interop.matching import Array, TensorGroup, in_blocks
from vitctl.interop.torch_names import GatedNames, Names
from vitctl.model.config import ModelConfig
from vitctl.model.heads import Pooling

Shape = tuple[int, ...]


def groups(
    config: ModelConfig,
    names: Names,
    *,
    base: str,
    embedded: int,
    grid: tuple[int, int],
    gated: GatedNames | None = None,
    distillation: bool = False,
    patch_matrix: bool = False,
) -> list[TensorGroup]:
    """The tensors of a model of `config` under `names`.

    Args:
      base: in front of all names but, with `head_outside`, the classifier's.
      embedded: how many of the tokens in front of the patches have position embeddings.
      grid: (rows, columns) of position embeddings for patches, as the file has them.
      gated: names of SwiGLU, of a model that has it; None: the first of `names.gated`.
      distillation: whether the file has a distillation token; if the model's head does not read
        it, it is the first of our registers.
      patch_matrix: whether the patch embedding is a matrix over p p 3, not a convolution.
    """
    if gated is None and names.gated:
        gated = names.gated[0]
    writer = _Writer(config, names, base, embedded, grid, gated, distillation, patch_matrix)
    return list(writer.all())


@dataclass(frozen=True)
class _Writer:
    config: ModelConfig
    names: Names
    base: str
    embedded: int
    grid: tuple[int, int]
    gated: GatedNames | None
    distillation: bool
    patch_matrix: bool

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
        if config.classes and "distillation_token" in config.poolings:
            yield from self._two_classifiers()
        elif config.classes and names.head is not None:
            head = names.head if names.head_outside else f"{base}{names.head}"
            yield from _dense(head, (config.features,), (config.classes,), "head")

    def _stem(self) -> Iterator[TensorGroup]:
        config, names, base = self.config, self.names, self.base
        d, p = config.width, config.patch
        shape: Shape = (d, 3, p, p)
        read, write = _from_convolution, _to_convolution
        if self.patch_matrix:
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
        """Tokens in front of the patches, and position embeddings: rows of theirs are added to
        ours."""
        config, names, base = self.config, self.names, self.base
        d, rows = config.width, self.embedded + math.prod(self.grid)
        shapes: dict[int, Shape] = {2: (rows, d), 3: (1, rows, d), 4: (1, *self.grid, d)}
        theirs = {f"{base}{names.position}": shapes[names.position_rank]}
        fronts = self._fronts()
        theirs |= fronts
        our_counts = {"cls": config.class_tokens, "registers": config.registers}
        our_counts = {name: count for name, count in our_counts.items() if count}
        their_ends = np.cumsum([math.prod(shape) // d for shape in fronts.values()])[:-1]
        our_ends = np.cumsum(list(our_counts.values()))[:-1]

        def read(arrays: Sequence[Array]) -> list[Array]:
            table = arrays[0].reshape(rows, d)
            position = table[None, self.embedded :]
            if len(arrays) == 1:
                return [position]
            front = np.concatenate([array.reshape(-1, d) for array in arrays[1:]])
            front[: self.embedded] += table[: self.embedded]
            return [position, *np.split(front[None], our_ends, axis=1)]

        def write(arrays: Sequence[Array]) -> list[Array]:
            before = np.zeros((self.embedded, d), np.float32)
            table = np.concatenate([before, arrays[0].reshape(-1, d)])
            if len(arrays) == 1:
                return [table]
            front = np.concatenate([array.reshape(-1, d) for array in arrays[1:]])
            return [table, *np.split(front, their_ends)]

        return TensorGroup(theirs, ("position", *our_counts), read, write)

    def _fronts(self) -> dict[str, Shape]:
        """Their tensors of tokens in front of the patches, in order."""
        config, names, base = self.config, self.names, self.base
        d, registers = config.width, config.registers
        fronts: dict[str, Shape] = {}
        if config.class_tokens:
            fronts[f"{base}{names.cls}"] = (1, 1, d) if names.cls_rank == 3 else (d,)
        if self.distillation or "distillation_token" in config.poolings:
            fronts[f"{base}{names.distillation}"] = (1, 1, d)
            registers -= 0 if "distillation_token" in config.poolings else 1
        if registers:
            fronts[f"{base}{names.registers}"] = (1, registers, d)
        return fronts

    def _block(self, layer: int) -> Iterator[TensorGroup]:
        config, names = self.config, self.names
        d, h, k = config.width, config.heads, config.head_dim
        base = self.base + names.block.format(layer)
        yield from _norm(f"{base}{names.attention_norm}", d, "attention_norm", layer=layer)
        yield from self._queries(base, layer)
        yield from _dense(f"{base}{names.out}", (h, k), (d,), "attention/out", layer=layer)
        if config.qk_norm:
            yield from _norm(f"{base}{names.query_norm}", k, "attention/query_norm", layer=layer)
            yield from _norm(f"{base}{names.key_norm}", k, "attention/key_norm", layer=layer)
        yield from _norm(f"{base}{names.mlp_norm}", d, "mlp_norm", layer=layer)
        yield from self._mlp(base, layer)
        if config.layer_scale is not None:
            for name, ours in (
                (names.attention_scale, "attention_scale/scale"),
                (names.mlp_scale, "mlp_scale/scale"),
            ):
                yield _vector(f"{base}{name}", (d,), ours, layer=layer)

    def _mlp(self, base: str, layer: int) -> Iterator[TensorGroup]:
        config, names = self.config, self.names
        d, f = config.width, config.mlp_dim
        match config.mlp:
            case "plain":
                yield from _dense(f"{base}{names.up}", (d,), (f,), "mlp/up", layer=layer)
                down = names.down
            case "swiglu":
                assert self.gated is not None
                up, gate, down = self.gated.up, self.gated.gate, self.gated.down
                if gate is None:
                    yield from _halves(f"{base}{up}", d, f, ("mlp/gate", "mlp/up"), layer=layer)
                else:
                    yield from _dense(f"{base}{gate}", (d,), (f,), "mlp/gate", layer=layer)
                    yield from _dense(f"{base}{up}", (d,), (f,), "mlp/up", layer=layer)
            case _:
                assert_never(config.mlp)
        yield from _dense(f"{base}{down}", (f,), (d,), "mlp/down", layer=layer)

    def _two_classifiers(self) -> Iterator[TensorGroup]:
        """DeiT's answer is the mean of its two classifiers, each of its own token: ours is one over
        both tokens, of halved weights. Of two biases only the mean is an answer."""
        config, names = self.config, self.names
        assert names.distilled is not None
        d, y = config.width, config.classes
        outside = "" if names.head_outside else self.base
        both = [f"{outside}{name}" for name in names.distilled]
        yield TensorGroup(
            {f"{name}.weight": (y, d) for name in both},
            ("head/kernel",),
            lambda arrays: [np.concatenate([array.T for array in arrays]) / 2],
            lambda arrays: [half.T * 2 for half in np.split(arrays[0], 2)],
        )
        yield TensorGroup(
            {f"{name}.bias": (y,) for name in both},
            ("head/bias",),
            lambda arrays: [(arrays[0] + arrays[1]) / 2],
            lambda arrays: [arrays[0], arrays[0]],
        )

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
            case "mean" | "class_token" | "distillation_token":  # nothing but the tokens
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


def _halves(
    name: str, width: int, hidden: int, ours: tuple[str, str], *, layer: int
) -> Iterator[TensorGroup]:
    """Two dense layers of one input as one matrix, one after another."""
    yield TensorGroup(
        {f"{name}.weight": (2 * hidden, width)},
        tuple(_ours(f"{part}/kernel", layer) for part in ours),
        lambda arrays: [half.T for half in np.split(arrays[0], 2)],
        lambda arrays: [np.concatenate([array.T for array in arrays])],
        layer,
    )
    yield TensorGroup(
        {f"{name}.bias": (2 * hidden,)},
        tuple(_ours(f"{part}/bias", layer) for part in ours),
        lambda arrays: np.split(arrays[0], 2),
        lambda arrays: [np.concatenate(arrays)],
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
