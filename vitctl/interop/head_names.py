"""What other codebases call our heads, and which of them have such a head at all.

A file with weights alone does not say how tokens become one vector, so a head that a codebase lacks
could be written as one that it has: no field has a default, and None refuses the export.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

from vitctl.model.heads import Head

Transformers = Literal["vit", "deit", "siglip", "siglip_without_head"]
"""vit: models of Hugging Face that read the [class] token (ViT, DINOv2); deit: those that read the
distillation token too; siglip: attention pooling;
siglip_without_head: the mean of the patches (`vision_use_head=False`)."""


@dataclass(frozen=True, kw_only=True)
class HeadNames:
    """A head elsewhere; None where there is no such head.

    Attributes:
      timm: `global_pool` of `VisionTransformer`.
      transformers: the family of models.
      big_vision: `pool_type` of `models/vit.py`.
    """

    timm: str | None
    transformers: Transformers | None
    big_vision: str | None


def names_of(head: Head) -> HeadNames:
    match head:
        case "map":
            return HeadNames(timm="map", transformers="siglip", big_vision="map")
        case "gap":
            return HeadNames(timm="avg", transformers="siglip_without_head", big_vision="gap")
        case "token":
            return HeadNames(timm="token", transformers="vit", big_vision="tok")
        case "distilled":
            return HeadNames(timm="token", transformers="deit", big_vision=None)
        case _:
            assert_never(head)


def of_timm(pool: str) -> Head | None:
    """The head of a `global_pool`; None for one that our models lack."""
    match pool:
        case "avg" | "gap":
            return "gap"
        case "map":
            return "map"
        case "token":
            return "token"
        case _:
            return None
