"""A model as timm's `VisionTransformer` loads it: weights, and the `config.json` of its hub."""

from __future__ import annotations

from typing import Any

from vitctl.artifacts.documents import json_bytes
from vitctl.interop import matching, torch_names, torch_tensors
from vitctl.interop.exported import Exported, refuse, safetensors_files
from vitctl.interop.head_names import names_of
from vitctl.model.config import Gelu, ModelConfig

_GELU: dict[Gelu, str] = {"exact": "gelu", "tanh": "gelu_tanh", "quick": "quick_gelu"}
# timm names no epsilon, MLP or class in JSON: a model has those of the architecture that its
# arguments change.
_ARCHITECTURES = {1e-6: "vit_base_patch16_224", 1e-5: "vit_base_patch16_clip_224"}
_GATED = "vit_giant_patch14_dinov2"
_DISTILLED = "deit_base_distilled_patch16_224"
_EPSILON = 1e-6
"""Of the last two."""


def files(model: Exported) -> dict[str, bytes]:
    """Name -> content. Raises UsageError for a part that the class lacks."""
    config = model.config
    pool = names_of(config.head).timm
    is_distilled, is_gated = "distillation_token" in config.poolings, config.is_gated
    architectures = _ARCHITECTURES
    if is_distilled or is_gated:
        architectures = {_EPSILON: _DISTILLED if is_distilled else _GATED}
    refuse(
        "timm",
        {
            f"head={config.head}": pool is None,
            "pre_logits": config.pre_logits is not None,
            "patch_bias": config.patch_bias == config.stem_norm,
            f"norm_epsilon={config.norm_epsilon:g}": config.norm_epsilon not in architectures,
            f"mlp={config.mlp} with a MAP head": is_gated and "probe" in config.poolings,
            f"mlp={config.mlp} with a distillation token": is_gated and is_distilled,
            "registers with a distillation token": config.registers > 0 and is_distilled,
        },
    )
    arguments: dict[str, Any] = {
        "img_size": config.resolution,
        "patch_size": config.patch,
        "embed_dim": config.width,
        "depth": config.depth,
        "num_heads": config.heads,
        "mlp_ratio": _ratio(config),
        "class_token": bool(config.class_tokens),
        "global_pool": pool,
        "fc_norm": config.norm_after_pool,
        "reg_tokens": config.registers,
        "no_embed_class": not is_distilled,
        "pre_norm": config.stem_norm,
        "qkv_bias": config.qkv_bias,
        "qk_norm": config.qk_norm,
        "init_values": config.layer_scale,
        "act_layer": "silu" if is_gated else _GELU[config.gelu],
    }
    ratio = model.evaluation.ratio
    description = {
        "architecture": architectures[config.norm_epsilon],
        "num_classes": config.classes,
        "num_features": config.width,
        "global_pool": pool,
        "model_args": arguments,
        "pretrained_cfg": {
            "num_classes": config.classes,
            "input_size": [3, config.resolution, config.resolution],
            "fixed_input_size": True,
            "interpolation": "bilinear",
            "crop_pct": round(1 / ratio, 6),
            "crop_mode": "squash" if model.evaluation.resize == "squash" else "center",
            "mean": list(config.pixel_mean),
            "std": list(config.pixel_std),
            "first_conv": "patch_embed.proj",
            "classifier": ["head", "head_dist"] if is_distilled else "head",
            "label_names": list(model.classes),
        },
    }
    embedded = config.class_tokens if is_distilled else 0
    groups = torch_tensors.groups(
        config, torch_names.TIMM, base="", embedded=embedded, grid=(config.grid, config.grid)
    )
    tensors = matching.written(groups, model.params)
    return {
        **safetensors_files(tensors, {"format": "pt"}),
        "config.json": json_bytes(description),
    }


def _ratio(config: ModelConfig) -> float:
    """A ratio of which timm makes this MLP: it takes the whole part of width times ratio."""
    rows = config.mlp_dim * (config.mlp_kernels - 1)  # of the first matrix: gates, too
    ratio = rows / config.width
    return ratio if int(config.width * ratio) == rows else ratio + 0.5 / config.width
