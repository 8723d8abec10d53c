"""How large and how expensive a model is, in closed form; no array library, no allocation.

Parameters follow the paper's Table 2 when neither the MAP head nor the classifier is counted;
`parameters` gives every part so that both numbers can be shown. FLOPs are two per multiply-add,
forward pass, matrix multiplications only: the paper's table adds 0.1 to 0.4 % of elementwise work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from vitctl.model.config import ModelConfig, projection_has_bias
from vitctl.model.heads import needs_of
from vitctl.model.roles import is_stacked

Layers = Mapping[str, tuple[int, ...]]
"""Name of each trained parameter -> its trained layers, ascending; () of one without layers."""


@dataclass(frozen=True)
class Parameters:
    """Parameter counts by part. Fixed (sincos2d) position embeddings are no parameters."""

    embedding: int
    position: int
    blocks: int
    norm: int
    pooling: int
    pre_logits: int
    classifier: int

    @property
    def backbone(self) -> int:
        """Embedding to final norm: the number in the paper's Table 2."""
        return self.embedding + self.position + self.blocks + self.norm

    @property
    def features(self) -> int:
        """All that computes the frozen features: backbone, pooling head and tanh projection."""
        return self.backbone + self.pooling + self.pre_logits

    @property
    def total(self) -> int:
        """Everything, classifier included."""
        return self.features + self.classifier


def parameters(config: ModelConfig) -> Parameters:
    """Count the parameters of each part of `config`."""
    d, e, y = config.width, config.features, config.classes
    norm = 2 * d
    return Parameters(
        embedding=3 * config.patch**2 * d + (d if config.patch_bias else 0),
        position=_position(config),
        blocks=config.depth * (_attention(config) + _mlp(config) + 2 * norm + _extras(config)),
        norm=norm + (norm if config.stem_norm else 0),
        pooling=_pooling(config),
        pre_logits=_projection(config),
        classifier=e * y + y,
    )


def _attention(config: ModelConfig) -> int:
    d = config.width
    return 4 * d * d + 4 * d


def _extras(config: ModelConfig) -> int:
    """What the configured blocks have beyond the usual ones, or lack (then below 0)."""
    d = config.width
    scales = 0 if config.layer_scale is None else 2 * d
    norms = 4 * config.head_dim if config.qk_norm else 0
    return scales + norms - (0 if config.qkv_bias else 3 * d)


def _projection(config: ModelConfig) -> int:
    if config.pre_logits is None:
        return 0
    e = config.pre_logits
    return config.pooled * e + (e if projection_has_bias(config.projection) else 0)


def _mlp(config: ModelConfig) -> int:
    d, f, kernels = config.width, config.mlp_dim, config.mlp_kernels
    return kernels * d * f + (kernels - 1) * f + d


def _position(config: ModelConfig) -> int:
    match config.position:
        case "learned":
            return config.tokens * config.width
        case "sincos2d":
            return 0
        case _:
            assert_never(config.position)


def _pooling(config: ModelConfig) -> int:
    """Parameters of the head, and of the tokens in front of the patches: [class] token and
    registers."""
    d, f = config.width, config.mlp_dim
    own = sum(needs_of(pooling).parameters(d, f) for pooling in config.poolings)
    return config.prefix * d + own


def matmul_flops(config: ModelConfig) -> int:
    """FLOPs of one image's forward pass through the backbone.

    2·3p²·d·n + L·(2n(4d² + 2df) + 4n²d), of SwiGLU 3df for 2df, without [class] token, pooling and
    classifier, as the paper counts.
    """
    return _stem_flops(config) + config.depth * _block_flops(config, tokens=config.tokens)


def trained_flops(config: ModelConfig, *, trained: Layers | None = None) -> int:
    """FLOPs that training on one image costs: three of `matmul_flops`, as the backward pass is two
    matmuls per matmul; less where only some parameters are `trained`."""
    return matmul_flops(config) + backward_flops(config, tokens=config.tokens, trained=trained)


def backward_flops(config: ModelConfig, *, tokens: int, trained: Layers | None = None) -> int:
    """FLOPs of one image's backward pass from the last block down, of so many tokens: a product for
    the gradient of each weight, and one for that of its input in every block that the pass goes
    through. That of the image, which nothing asks for, is counted, too, as is usual."""
    stem, block = _stem_flops(config), _block_flops(config, tokens=tokens)
    if trained is None:
        return 2 * (stem + config.depth * block)
    d, f = config.width, config.mlp_dim
    kernels = {
        **dict.fromkeys((f"blocks/attention/{name}/kernel" for name in _PROJECTIONS), d * d),
        **dict.fromkeys((f"blocks/mlp/{name}/kernel" for name in _hidden(config)), d * f),
    }
    of_weights = sum(
        2 * tokens * kernels.get(name, 0) * len(rows) for name, rows in trained.items()
    )
    of_inputs = 2 * block - sum(2 * tokens * size for size in kernels.values())
    passed = passed_blocks(trained, depth=config.depth)
    return (2 * stem if _EMBEDDING in trained else 0) + of_weights + passed * of_inputs


def passed_blocks(trained: Layers, *, depth: int) -> int:
    """How many blocks the backward pass goes through: those from the lowest one on in which, or
    before which, something is trained."""
    return depth - lowest_block(trained, depth=depth)


def lowest_block(trained: Layers, *, depth: int) -> int:
    """The block at which the backward pass ends: 0 where something before the blocks is trained,
    `depth` where all that is trained comes after them."""
    outside = [name for name in trained if not is_stacked(name)]
    if not all(name.startswith(_AFTER_BLOCKS) for name in outside):
        return 0
    return min((rows[0] for name, rows in trained.items() if is_stacked(name)), default=depth)


_AFTER_BLOCKS = ("norm/", "map_head/", "pre_logits/", "head/")
_PROJECTIONS = ("query", "key", "value", "out")
_EMBEDDING = "embedding/kernel"


def forward_flops(config: ModelConfig) -> int:
    """FLOPs of one image's whole forward pass: with [class] token, registers, pooling and
    classifier."""
    e, y = config.features, config.classes
    blocks = config.depth * _block_flops(config, tokens=config.sequence)
    projection = 0 if config.pre_logits is None else 2 * config.pooled * e
    return _stem_flops(config) + blocks + _pooling_flops(config) + projection + 2 * e * y


def _hidden(config: ModelConfig) -> tuple[str, ...]:
    """Names of the matrices of width times `mlp_dim` in a block's MLP."""
    match config.mlp:
        case "plain":
            return ("up", "down")
        case "swiglu":
            return ("up", "down", "gate")
        case _:
            assert_never(config.mlp)


def _stem_flops(config: ModelConfig) -> int:
    return 2 * 3 * config.patch**2 * config.width * config.tokens


def _block_flops(config: ModelConfig, *, tokens: int) -> int:
    d, f, n = config.width, config.mlp_dim, tokens
    return 2 * n * (4 * d * d + config.mlp_kernels * d * f) + 4 * n * n * d


def _pooling_flops(config: ModelConfig) -> int:
    d, f, n = config.width, config.mlp_dim, config.tokens
    return sum(needs_of(pooling).flops(d, f, n) for pooling in config.poolings)
