"""Which codebase's names a file has: known from a few names that no other layout has together."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from vitctl.errors import InputError
from vitctl.interop import torch_names
from vitctl.interop.layout_names import LayoutName
from vitctl.interop.torch_names import Names
from vitctl.model.config import HALF, Colours, Gelu

IMAGENET: tuple[Colours, Colours] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP: tuple[Colours, Colours] = (
    (0.48145466, 0.4578275, 0.40821073),
    (0.26862954, 0.26130258, 0.27577711),
)
PIXELS: dict[str, tuple[Colours, Colours]] = {
    "half": (HALF, HALF),
    "imagenet": IMAGENET,
    "clip": CLIP,
}
"""Means and standard deviations that models are trained with, by the name that `--pixels` takes."""

_TEXT = (r"text_model\..*", r"text\..*", r"text_projection.*", r"logit_(scale|bias)")


@dataclass(frozen=True)
class TensorLayout:
    """A codebase's way to name tensors, and what it means where nothing beside them says more.

    Attributes:
      title: as people are told.
      bases: what may stand in front of the names, tried in this order.
      has: a name without the base that must be there, with every name in `lacks` absent.
      left_out: patterns of names that are no part of an image classifier or its features.
      unsure: whether the defaults of pixels differ between models of this layout.
      gates_unsure: whether its models may have gates of other activations than silu.
    """

    name: LayoutName
    title: str
    names: Names
    bases: tuple[str, ...]
    has: tuple[str, ...]
    lacks: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    gelu: Gelu = "exact"
    epsilon: float = 1e-6
    pixels: str = "half"
    unsure: bool = False
    gates_unsure: bool = False


LAYOUTS: dict[str, TensorLayout] = {
    layout.name: layout
    for layout in (
        TensorLayout(
            "open-clip-timm",
            "a timm tower in open_clip",
            replace(torch_names.TIMM, projection="visual.head.proj.weight"),
            bases=("visual.trunk.",),
            has=("patch_embed.proj.weight", "blocks.0.attn.qkv.weight"),
            left_out=_TEXT,
            gelu="tanh",
            gates_unsure=True,
        ),
        TensorLayout(
            "timm",
            "timm's VisionTransformer",
            torch_names.TIMM,
            bases=("", "module.", "model.", "backbone."),
            has=("patch_embed.proj.weight", "blocks.0.attn.qkv.weight"),
            left_out=(r"(.*\.)?mask_token",),
            unsure=True,
            gates_unsure=True,
        ),
        TensorLayout(
            "timm-naflex",
            "timm's NaFlexVit",
            torch_names.TIMM_NAFLEX,
            bases=("", "module.", "model.", "backbone."),
            has=("embeds.proj.weight", "blocks.0.attn.qkv.weight"),
            left_out=(r"(.*\.)?mask_token",),
        ),
        TensorLayout(
            "hf-dinov2",
            "DINOv2 in Hugging Face transformers",
            torch_names.HF_DINOV2,
            bases=("", "dinov2.", "dinov2_with_registers."),
            has=(
                "encoder.layer.0.attention.attention.query.weight",
                "encoder.layer.0.norm1.weight",
            ),
            left_out=(r"(.*\.)?mask_token",),
            pixels="imagenet",
        ),
        TensorLayout(
            "hf-vit",
            "ViT or DeiT in Hugging Face transformers",
            torch_names.HF_VIT,
            bases=("", "vit.", "deit."),
            has=(
                "encoder.layer.0.attention.attention.query.weight",
                "encoder.layer.0.layernorm_before.weight",
            ),
            left_out=(r"(.*\.)?mask_token",),
            epsilon=1e-12,
            unsure=True,
        ),
        TensorLayout(
            "hf-clip",
            "CLIP in Hugging Face transformers",
            torch_names.HF_CLIP,
            bases=("vision_model.", ""),
            has=("encoder.layers.0.self_attn.q_proj.weight", "pre_layrnorm.weight"),
            left_out=(*_TEXT, r".*position_ids"),
            gelu="quick",
            epsilon=1e-5,
            pixels="clip",
        ),
        TensorLayout(
            "hf-siglip",
            "SigLIP in Hugging Face transformers",
            torch_names.HF_SIGLIP,
            bases=("vision_model.", ""),
            has=("encoder.layers.0.self_attn.q_proj.weight", "embeddings.patch_embedding.weight"),
            lacks=("pre_layrnorm.weight",),
            left_out=(*_TEXT, r".*position_ids"),
            gelu="tanh",
        ),
        TensorLayout(
            "open-clip",
            "open_clip's own VisionTransformer",
            torch_names.OPEN_CLIP,
            bases=("visual.", ""),
            has=("conv1.weight", "transformer.resblocks.0.attn.in_proj_weight"),
            left_out=(
                *_TEXT,
                r"(?!visual\.)(transformer|token_embedding|ln_final)\..*",
                r"positional_embedding|attn_mask",
            ),
            epsilon=1e-5,
            pixels="clip",
        ),
    )
}


@dataclass(frozen=True)
class Detected:
    """A layout, and what stands in front of its names in this file."""

    layout: TensorLayout
    base: str

    def left_out(self, names: Collection[str], *, expected: Collection[str]) -> list[str]:
        """Names that are no part of the model: of a text tower, of masks in training."""
        patterns = [re.compile(pattern) for pattern in self.layout.left_out]
        spare = sorted(set(names) - set(expected))
        return [name for name in spare if any(p.fullmatch(name) for p in patterns)]


_UNLIKE = (
    (
        r"(.*\.)?embeds\.pos_embed_[xy]",
        "the model adds position embeddings of rows and of columns (timm's NaFlexVit with "
        "pos_embed=factorized), vitctl's have one for each patch",
        "import a model with learned ones, as naflexvit_base_patch16_gap of timm",
    ),
)
"""Names that only models unlike ours have, what these models are, and what helps."""


def _refuse_unlike(names: Collection[str]) -> None:
    for pattern, sentence, hint in _UNLIKE:
        if any(re.fullmatch(pattern, name) for name in names):
            raise InputError(sentence, hint=hint)


def detect(names: Collection[str], *, wanted: LayoutName | None) -> Detected:
    """The layout of these names. Raises InputError if none fits, or not the wanted one, or if the
    names are of a model that vitctl does not have."""
    _refuse_unlike(names)
    for layout in LAYOUTS.values():
        if wanted is not None and layout.name != wanted:
            continue
        for base in layout.bases:
            has = all(base + name in names for name in layout.has)
            if has and not any(base + name in names for name in layout.lacks):
                return Detected(layout, base)
    shown = ", ".join(sorted(names)[:4])
    if wanted is not None:
        wants = LAYOUTS[wanted].has if wanted in LAYOUTS else ("metadata of vitctl",)
        needed = " and ".join(wants)
        raise InputError(
            f"the {len(names)} tensors are not of the layout {wanted}: it has {needed}, they "
            f"begin with {shown}",
            hint="leave out --layout: it is detected",
        )
    raise InputError(
        f"the {len(names)} tensors are of no layout that is known here; they begin with {shown}",
        hint=f"known: {', '.join([*LAYOUTS, 'big-vision'])}",
    )
