"""Names of torch codebases for the parts of a vision transformer: one table a layout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class GatedNames:
    """Names of a gated MLP: `up` alone where gates and what they multiply are halves of one matrix,
    gates first; with `gate` where they are two matrices."""

    up: str
    down: str
    gate: str | None = None


@dataclass(frozen=True)
class Names:
    """What a layout calls each part; None where it has no such part. `{}` is the layer.

    Attributes:
      patch_matrix: whether the patch embedding's weight may be a matrix over p p 3, as in NaFlex,
        where all others have a convolution.
      position_rank: 3 is [1, n, d], 2 an embedding table [n, d], 4 a grid [1, rows, columns, d].
      cls_rank: of the [class] token: 3 is [1, 1, d], 1 is [d].
      fused: name of the one matrix of query, key and value, if it is one.
      fused_join: what its parts begin with: `.weight` and `.bias`, or `_weight` and `_bias`.
      separate: names of query, key and value, if they are three.
      gated: the ways in which the codebase stores SwiGLU.
      distilled: the classifiers of the [class] and of the distillation token.
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
    gated: tuple[GatedNames, ...] = ()
    registers: str | None = None
    distillation: str | None = None
    distilled: tuple[str, str] | None = None
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
    gated=(
        GatedNames(up="mlp.fc1", down="mlp.fc2"),
        GatedNames(up="mlp.fc1_x", down="mlp.fc2", gate="mlp.fc1_g"),
        GatedNames(up="mlp.w12", down="mlp.w3"),  # DINOv2's own
    ),
    distillation="dist_token",
    distilled=("head", "head_dist"),
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
TIMM_NAFLEX = replace(
    TIMM,
    patch="embeds.proj",
    patch_matrix=True,
    position="embeds.pos_embed",
    position_rank=4,
    cls="embeds.cls_token",
    registers="embeds.reg_token",
    distillation=None,
    distilled=None,
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
    distillation="embeddings.distillation_token",
    distilled=("cls_classifier", "distillation_classifier"),
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
    gated=(GatedNames(up="mlp.weights_in", down="mlp.weights_out"),),
    norm="layernorm",
    attention_scale="layer_scale1.lambda1",
    mlp_scale="layer_scale2.lambda1",
)
HF_SIGLIP = Names(
    patch="embeddings.patch_embedding",
    patch_matrix=True,
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
