"""How large and how expensive a model is, in closed form; no array library, no allocation.

Parameters follow the paper's Table 2 when neither the MAP head nor the classifier is counted;
`parameters` gives every part so that both numbers can be shown. FLOPs are two per multiply-add,
forward pass, matrix multiplications only: the paper's table adds 0.1 to 0.4 % of elementwise work.
"""

from __future__ import annotations

from dataclasses import dataclass

from vitctl.model.config import ModelConfig


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
    d, f, y = config.width, config.mlp_dim, config.classes
    attention = 4 * d * d + 4 * d
    mlp = 2 * d * f + f + d
    norm = 2 * d
    pooling = {"map": d + attention + norm + mlp, "gap": 0, "token": d}[config.head]
    last = config.pre_logits or d
    return Parameters(
        embedding=3 * config.patch**2 * d + d,
        position=config.tokens * d if config.position == "learned" else 0,
        blocks=config.depth * (attention + mlp + 2 * norm),
        norm=norm,
        pooling=pooling,
        pre_logits=d * config.pre_logits + config.pre_logits if config.pre_logits else 0,
        classifier=last * y + y,
    )


def matmul_flops(config: ModelConfig) -> int:
    """FLOPs of one image's forward pass through the backbone.

    2·3p²·d·n + L·(2n(4d² + 2df) + 4n²d), without [class] token, pooling and classifier, as the
    paper counts. A training step costs three times as much: backward is two matmuls per matmul.
    """
    d, f, n, p = config.width, config.mlp_dim, config.tokens, config.patch
    stem = 2 * 3 * p * p * d * n
    block = 2 * n * (4 * d * d + 2 * d * f) + 4 * n * n * d
    return stem + config.depth * block
