"""What a model is: enough to know every shape, none of how fast it runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, assert_never

from pydantic import (
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_serializer,
    model_validator,
)

from vitctl.model import variants
from vitctl.model.heads import Head, Pooling, needs_of, poolings_of, tokens_of
from vitctl.settings.config import Config, without_defaults
from vitctl.text.quoting import quoted

Position = Literal["learned", "sincos2d"]
Loss = Literal["sigmoid", "softmax"]
"""How the classifier's outputs are read: each class on its own, or one of all."""
Gelu = Literal["tanh", "exact", "quick"]
Mlp = Literal["plain", "swiglu"]
Projection = Literal["tanh", "linear"]
Colours = tuple[float, float, float]
"""Red, green, blue."""

HALF: Colours = (0.5, 0.5, 0.5)
"""Mean and standard deviation that turn pixels of [0, 1] into [-1, 1]."""


class ModelConfig(Config):
    """A vision transformer with its head and classifier.

    Attributes:
      width: features of the residual stream.
      depth: number of blocks.
      mlp_dim: hidden features of each MLP, the MAP head's too.
      heads: attention heads; they divide the width.
      patch: side of a patch in pixels. Pixels that don't fill a patch are dropped.
      resolution: side of the square input image in pixels.
      classes: outputs of the classifier; 0 means there is none, as in an imported backbone.
      head: how tokens become one vector. `map`: attention pooling by a learned probe (the
        paper's choice, section 3.2); `gap`: mean; `token`: an extra [class] token; `distilled`:
        that and a distillation token, side by side (DeiT).
      pre_logits: features of a tanh projection before the classifier (the original ViT's
        recipe; the paper removes it), None means off.
      position: learned embeddings, or fixed two-dimensional sines and cosines.
      position_grid: of `sincos2d`, the side in patches of the grid whose range of coordinates is
        spanned: what a model was pretrained on, where it is fine-tuned on another. None: its own.
      head_bias: initial bias of the classifier; -ln(classes) starts a sigmoid loss calmly.

    What other families of vision transformers have and this one lacks; off unless it is set:

      mlp: of the blocks. `plain`: two matrices with a GELU between; `swiglu`: a third makes gates,
        down(silu(gate(x)) * up(x)) (https://arxiv.org/abs/2002.05202; DINOv2's largest). The
        MAP head's is plain.
      gelu: of the plain MLPs. `tanh`: its approximation (big_vision, SigLIP); `exact`: with erf
        (timm, DeiT, DINO); `quick`: x * sigmoid(1.702 x) (OpenAI's CLIP).
      norm_epsilon: added to the variance in every norm.
      qkv_bias: whether query, key and value have biases.
      qk_norm: a norm of queries and keys over the features of each head (ViT-22B,
        https://arxiv.org/abs/2302.05442, section 2.1).
      layer_scale: initial value of a learned factor a feature on what attention and MLP add
        (CaiT, https://arxiv.org/abs/2103.17239); None means off.
      registers: learned tokens that no head reads (https://arxiv.org/abs/2309.16588).
      class_token: a [class] token that a head other than `token` does not read.
      stem_norm: a norm between position embeddings and blocks (CLIP).
      patch_bias: whether the patch embedding has a bias.
      norm_after_pool: whether the final norm follows pooling in place of preceding it (MAE).
      projection: what `pre_logits` is: a dense layer and tanh, or a matrix alone (CLIP).
      pixel_mean, pixel_std: of pixels between 0 and 1, by colour: what the patch embedding sees is
        (pixel - mean) / std. A model is given images of [-1, 1] whatever these are.
    """

    width: PositiveInt
    depth: PositiveInt
    mlp_dim: PositiveInt
    heads: PositiveInt
    patch: PositiveInt
    resolution: PositiveInt = 224
    classes: NonNegativeInt
    head: Head = "map"
    pre_logits: PositiveInt | None = None
    position: Position = "learned"
    head_bias: float = 0.0
    position_grid: PositiveInt | None = None
    mlp: Mlp = "plain"
    gelu: Gelu = "tanh"
    norm_epsilon: PositiveFloat = 1e-6
    qkv_bias: bool = True
    qk_norm: bool = False
    layer_scale: PositiveFloat | None = None
    registers: NonNegativeInt = 0
    class_token: bool = False
    stem_norm: bool = False
    patch_bias: bool = True
    norm_after_pool: bool = False
    projection: Projection = "tanh"
    pixel_mean: Colours = HALF
    pixel_std: Colours = HALF

    @model_serializer(mode="wrap")
    def _as_before(self, dump: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return without_defaults(self, dump, later=LATER)

    @model_validator(mode="after")
    def _shapes_fit(self) -> ModelConfig:
        if self.width % self.heads:
            raise ValueError(f"heads={self.heads} does not divide width={self.width}")
        if self.position == "sincos2d" and (self.width % 4 or self.width < 8):
            raise ValueError(
                f"position='sincos2d' needs a width of at least 8 that 4 divides, not {self.width}"
            )
        if self.position_grid is not None and self.position != "sincos2d":
            raise ValueError("position_grid is of position='sincos2d'; learned ones are resampled")
        if self.class_token and tokens_of(self.head):
            raise ValueError(
                f"class_token is for heads that do not read it; head={quoted(self.head)} has one"
            )
        if self.gelu != "tanh" and self.is_gated and "probe" not in self.poolings:
            raise ValueError(
                f"gelu={quoted(self.gelu)} is of plain MLPs, and this model has none: its gates of "
                "mlp='swiglu' are sigmoid linear units"
            )
        if self.norm_after_pool and any(needs_of(p).normed for p in self.poolings):
            raise ValueError(
                f"norm_after_pool is not for head={quoted(self.head)}, which reads normed tokens"
            )
        if self.norm_after_pool and self.pooled != self.width:
            raise ValueError(
                f"norm_after_pool is not for head={quoted(self.head)}: the final norm is of "
                f"{self.width} features, and the head makes {self.pooled}"
            )
        if self.projection != "tanh" and self.pre_logits is None:
            raise ValueError(f"projection={quoted(self.projection)} needs pre_logits, its width")
        if any(not 0 < std < 100 for std in self.pixel_std):
            raise ValueError(f"pixel_std {list(self.pixel_std)} has a value outside (0, 100)")
        if self.resolution < self.patch:
            raise ValueError(
                f"resolution={self.resolution} is smaller than one patch of {self.patch} pixels"
            )
        return self

    def label(self, name: str) -> str:
        """What people are shown for this model that settings call `name`: `variants.label`."""
        return variants.label(
            name,
            width=self.width,
            depth=self.depth,
            mlp_dim=self.mlp_dim,
            heads=self.heads,
            patch=self.patch,
            mlp=self.mlp,
        )

    @property
    def is_gated(self) -> bool:
        """Whether a third matrix in the MLP of each block makes gates."""
        return has_gates(self.mlp)

    @property
    def mlp_kernels(self) -> int:
        """Matrices of width times `mlp_dim` in the MLP of each block; all but one make hidden
        features of its input."""
        return 3 if self.is_gated else 2

    @property
    def head_dim(self) -> int:
        """Features per attention head."""
        return self.width // self.heads

    @property
    def grid(self) -> int:
        """Patches per side of the image."""
        return self.resolution // self.patch

    @property
    def covered(self) -> int:
        """Pixels per side that fill patches; the model does not see the others."""
        return self.grid * self.patch

    @property
    def tokens(self) -> int:
        """Patches per image. A [class] token is not counted; `sequence` counts it."""
        return self.grid**2

    @property
    def poolings(self) -> tuple[Pooling, ...]:
        """What the head is made of; their vectors stand side by side."""
        return poolings_of(self.head)

    @property
    def class_tokens(self) -> int:
        """[class] and distillation tokens in front of the patches."""
        return tokens_of(self.head) or int(self.class_token)

    @property
    def prefix(self) -> int:
        """Tokens in front of the patches: [class] token, then registers."""
        return self.class_tokens + self.registers

    @property
    def sequence(self) -> int:
        """Tokens per image that the blocks work on: patches, [class] token and registers."""
        return self.prefix + self.tokens

    @property
    def pooled(self) -> int:
        """Features of the one vector that the head makes of the tokens."""
        return len(self.poolings) * self.width

    @property
    def features(self) -> int:
        """Features that the classifier, and few-shot regression, see."""
        return self.pooled if self.pre_logits is None else self.pre_logits


LATER = (
    "position_grid", "mlp", "gelu", "norm_epsilon", "qkv_bias", "qk_norm", "layer_scale",
    "registers", "class_token", "stem_norm", "patch_bias", "norm_after_pool", "projection",
    "pixel_mean", "pixel_std",
)  # fmt: skip
"""Fields that the first version did not have."""


FREE_FIELDS = frozenset({"resolution", "patch", "position_grid", "classes", "head_bias"})
"""What may differ between two models of which one begins with the other's weights; every other
field is a different architecture."""


def nearest_sizes(resolution: int, *, patch: int) -> tuple[int, ...]:
    """The sizes nearest to `resolution` that patches fill, the nearest first; itself if they do.

    >>> nearest_sizes(384, patch=28)
    (392, 364)
    >>> nearest_sizes(224, patch=16)
    (224,)
    """
    if resolution % patch == 0:
        return (resolution,)
    below = resolution // patch * patch
    sizes = [size for size in (below, below + patch) if size > 0]
    # Of two as near the larger, which sees more.
    return tuple(sorted(sizes, key=lambda size: (abs(size - resolution), -size)))


def has_gates(mlp: Mlp) -> bool:
    """Whether an MLP has a third matrix, which makes gates."""
    match mlp:
        case "plain":
            return False
        case "swiglu":
            return True
        case _:
            assert_never(mlp)


def projection_has_bias(projection: Projection) -> bool:
    match projection:
        case "tanh":
            return True
        case "linear":
            return False
        case _:
            assert_never(projection)


def are_independent(loss: Loss) -> bool:
    """Whether each class has a probability of its own; else they add up to 1."""
    match loss:
        case "sigmoid":
            return True
        case "softmax":
            return False
        case _:
            assert_never(loss)


def calm_bias(loss: Loss, *, classes: int) -> float:
    """The classifier's initial bias with which a loss starts near its final range.

    A sigmoid starts with every class equally unlikely, 1/classes; a softmax needs no bias.
    """
    match loss:
        case "sigmoid":
            return -round(math.log(classes), 4)
        case "softmax":
            return 0.0
        case _:
            assert_never(loss)


def from_name(
    name: str,
    *,
    classes: int,
    resolution: int = 224,
    head: Head = "map",
    pre_logits: int | None = None,
    position: Position = "learned",
    head_bias: float = 0.0,
) -> ModelConfig:
    """The configuration a model name stands for.

    >>> from_name("g14", classes=1000).width
    1408

    Raises:
      UsageError: see `variants.parse`.
      pydantic.ValidationError: the parts do not fit together.
    """
    named = variants.parse(name)
    size = named.variant
    return ModelConfig(
        width=size.width,
        depth=size.depth,
        mlp_dim=size.mlp_dim,
        heads=size.heads,
        patch=named.patch,
        resolution=resolution,
        classes=classes,
        head=head,
        pre_logits=pre_logits,
        position=position,
        head_bias=head_bias,
    )
