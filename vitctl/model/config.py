"""What a model is: enough to know every shape, none of how fast it runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, assert_never

from pydantic import PositiveInt, model_serializer, model_validator

from vitctl.model import variants
from vitctl.settings.config import Config

Head = Literal["map", "gap", "token"]
Position = Literal["learned", "sincos2d"]
Loss = Literal["sigmoid", "softmax"]
"""How the classifier's outputs are read: each class on its own, or one of all."""


class ModelConfig(Config):
    """A vision transformer with its head and classifier.

    Attributes:
      width: features of the residual stream.
      depth: number of blocks.
      mlp_dim: hidden features of each MLP, the MAP head's too.
      heads: attention heads; they divide the width.
      patch: side of a patch in pixels. Pixels that don't fill a patch are dropped.
      resolution: side of the square input image in pixels.
      classes: outputs of the classifier.
      head: how tokens become one vector. `map`: attention pooling by a learned probe (the
        paper's choice, section 3.2); `gap`: mean; `token`: an extra [class] token.
      pre_logits: features of a tanh projection before the classifier (the original ViT's
        recipe; the paper removes it), None means off.
      position: learned embeddings, or fixed two-dimensional sines and cosines.
      position_grid: of `sincos2d`, the side in patches of the grid whose range of coordinates is
        spanned: what a model was pretrained on, where it is fine-tuned on another. None: its own.
      head_bias: initial bias of the classifier; -ln(classes) starts a sigmoid loss calmly.
    """

    width: PositiveInt
    depth: PositiveInt
    mlp_dim: PositiveInt
    heads: PositiveInt
    patch: PositiveInt
    resolution: PositiveInt = 224
    classes: PositiveInt
    head: Head = "map"
    pre_logits: PositiveInt | None = None
    position: Position = "learned"
    head_bias: float = 0.0
    position_grid: PositiveInt | None = None

    @model_serializer(mode="wrap")
    def _as_before(self, dump: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """`position_grid` is named only where it is set: ids of models without it stay theirs."""
        tree = dump(self)
        if tree.get("position_grid", ...) is None:
            del tree["position_grid"]
        return tree

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
        )

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
    def class_tokens(self) -> int:
        """Learned tokens that the head puts in front of the patches."""
        match self.head:
            case "token":
                return 1
            case "map" | "gap":
                return 0
            case _:
                assert_never(self.head)

    @property
    def sequence(self) -> int:
        """Tokens per image that the blocks work on: patches and [class] token."""
        return self.class_tokens + self.tokens

    @property
    def pooled(self) -> int:
        """Features of the one vector that the head makes of the tokens."""
        match self.head:
            case "map" | "gap" | "token":
                return self.width
            case _:
                assert_never(self.head)

    @property
    def features(self) -> int:
        """Features that the classifier, and few-shot regression, see."""
        return self.pooled if self.pre_logits is None else self.pre_logits


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
