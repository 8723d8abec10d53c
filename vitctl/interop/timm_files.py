"""A model as timm's `VisionTransformer` loads it: weights, and the `config.json` of its hub."""

from __future__ import annotations

from typing import Any

from vitctl.artifacts.documents import json_bytes
from vitctl.interop import matching, torch_names
from vitctl.interop.exported import Exported, refuse, safetensors_files
from vitctl.interop.head_names import names_of
from vitctl.model.config import Gelu, ModelConfig

_GELU: dict[Gelu, str] = {"exact": "gelu", "tanh": "gelu_tanh", "quick": "quick_gelu"}
# timm names no epsilon in JSON: a model has that of the architecture that its arguments change.
_ARCHITECTURES = {1e-6: "vit_base_patch16_224", 1e-5: "vit_base_patch16_clip_224"}


def files(model: Exported) -> dict[str, bytes]:
    """Name -> content. Raises UsageError for a part that the class lacks."""
    config = model.config
    pool = names_of(config.head).timm
    refuse(
        "timm",
        {
            f"head={config.head}": pool is None,
            "pre_logits": config.pre_logits is not None,
            "patch_bias": config.patch_bias == config.stem_norm,
            f"norm_epsilon={config.norm_epsilon:g}": config.norm_epsilon not in _ARCHITECTURES,
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
        "no_embed_class": True,
        "pre_norm": config.stem_norm,
        "qkv_bias": config.qkv_bias,
        "qk_norm": config.qk_norm,
        "init_values": config.layer_scale,
        "act_layer": _GELU[config.gelu],
    }
    ratio = model.evaluation.ratio
    description = {
        "architecture": _ARCHITECTURES[config.norm_epsilon],
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
            "classifier": "head",
            "label_names": list(model.classes),
        },
    }
    groups = torch_names.groups(config, torch_names.TIMM, base="", embedded=0, tokens=config.tokens)
    tensors = matching.written(groups, model.params)
    return {
        **safetensors_files(tensors, {"format": "pt"}),
        "config.json": json_bytes(description),
    }


def _ratio(config: ModelConfig) -> float:
    """A ratio of which timm makes this MLP: it takes the whole part of width times ratio."""
    ratio = config.mlp_dim / config.width
    return ratio if int(config.width * ratio) == config.mlp_dim else ratio + 0.5 / config.width
