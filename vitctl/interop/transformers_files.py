"""A model as the transformers library loads it: weights, `config.json`, the settings of images.

The class is the one whose head is the model's: ViT and DINOv2 read the [class] token, DeiT the
distillation token too, SigLIP pools by attention or takes the mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, assert_never

import numpy as np

from vitctl.artifacts.documents import json_bytes
from vitctl.errors import UsageError
from vitctl.interop import matching, torch_names, torch_tensors
from vitctl.interop.exported import Exported, refuse, safetensors_files
from vitctl.interop.head_names import names_of
from vitctl.interop.torch_names import Names
from vitctl.model.config import Gelu, ModelConfig

_GELU: dict[Gelu, str] = {
    "exact": "gelu", "tanh": "gelu_pytorch_tanh", "quick": "quick_gelu",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Class:
    """A class of transformers, for one model.

    Attributes:
      title: its name.
      names: of its tensors, with `base` in front.
      description: the content of `config.json` but for what all have.
      lacks: parts of the model that the class does not have, by name: whether they are needed.
      embedded: how many tokens in front of the patches have position embeddings.
      extra: tensors that it wants and the model has not.
    """

    title: str
    names: Names
    base: str
    description: dict[str, Any]
    lacks: dict[str, bool]
    embedded: int = 1
    extra: dict[str, np.ndarray] = field(default_factory=dict)


def files(model: Exported) -> dict[str, bytes]:
    """Name -> content. Raises UsageError for a part that the class lacks."""
    config = model.config
    chosen = _class_of(model)
    refuse(
        f"{chosen.title} of transformers",
        {
            "qk_norm": config.qk_norm,
            "stem_norm": config.stem_norm,
            "patch_bias": not config.patch_bias,
            "class_token": config.class_token,
            "norm_after_pool": config.norm_after_pool,
            "projection": config.projection != "tanh",
        }
        | chosen.lacks,
    )
    groups = torch_tensors.groups(
        config,
        chosen.names,
        base=chosen.base,
        embedded=chosen.embedded,
        grid=(config.grid, config.grid),
    )
    tensors = matching.written(groups, model.params) | chosen.extra
    description = chosen.description | {"architectures": [chosen.title], "dtype": "float32"}
    return {
        **safetensors_files(tensors, {"format": "pt"}),
        "config.json": json_bytes(description),
        "preprocessor_config.json": json_bytes(_processor(model)),
    }


def _class_of(model: Exported) -> _Class:
    family = names_of(model.config.head).transformers
    match family:
        case None:
            refuse("transformers", {f"head={model.config.head}": True})
            raise AssertionError("refused")
        case "vit" | "siglip" | "siglip_without_head" if _is_dinov2(model.config):
            return _dinov2(model, has_head=family == "vit")
        case "vit":
            return _vit(model)
        case "deit":
            return _deit(model)
        case "siglip":
            return _siglip(model)
        case "siglip_without_head":
            return _siglip_without_head(model)
        case _:
            assert_never(family)


def _shape(config: ModelConfig) -> dict[str, Any]:
    return {
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "image_size": config.resolution,
        "patch_size": config.patch,
        "hidden_act": _GELU[config.gelu],
        "layer_norm_eps": config.norm_epsilon,
    }


def _labels(model: Exported) -> dict[str, Any]:
    return {
        "id2label": {str(i): name for i, name in enumerate(model.classes)},
        "label2id": {name: i for i, name in enumerate(model.classes)},
    }


def _dinov2(model: Exported, *, has_head: bool) -> _Class:
    """`has_head`: whether the model reads the [class] token, as the class does."""
    config = model.config
    description = {
        "model_type": "dinov2_with_registers" if config.registers else "dinov2",
        **_shape(config),
        "mlp_ratio": _whole_ratio(config),
        "qkv_bias": config.qkv_bias,
        "layerscale_value": config.layer_scale,
        "use_swiglu_ffn": config.is_gated,
    }
    if config.registers:
        description["num_register_tokens"] = config.registers
    return _Class(
        title="Dinov2WithRegistersModel" if config.registers else "Dinov2Model",
        names=torch_names.HF_DINOV2,
        base="",
        description=description,
        lacks={
            f"head={config.head}": not has_head,
            "classifier over the [class] token (--no-classifier leaves it out)": bool(
                config.classes
            ),
            "pre_logits": config.pre_logits is not None,
            "model without layer_scale": config.layer_scale is None,
        },
        extra={"embeddings.mask_token": np.zeros((1, config.width), np.float32)},
    )


def _vit(model: Exported) -> _Class:
    config = model.config
    has_pooler, has_classes = config.pre_logits is not None, bool(config.classes)
    return _Class(
        title="ViTForImageClassification" if has_classes else "ViTModel",
        names=torch_names.HF_VIT,
        base="vit." if has_classes else "",
        description={
            "model_type": "vit",
            **_shape(config),
            "intermediate_size": config.mlp_dim,
            "qkv_bias": config.qkv_bias,
            "pooler_act": "tanh",
            **(_labels(model) if has_classes else {}),
        },
        lacks={
            "pre_logits under a classifier": has_pooler and has_classes,
            "pre_logits of another width": config.pre_logits not in (None, config.width),
            "backbone without pre_logits": not has_classes and not has_pooler,
        },
    )


def _deit(model: Exported) -> _Class:
    config = model.config
    return _Class(
        title="DeiTForImageClassificationWithTeacher",
        names=torch_names.HF_VIT,
        base="deit.",
        embedded=2,
        description={
            "model_type": "deit",
            **_shape(config),
            "intermediate_size": config.mlp_dim,
            "qkv_bias": config.qkv_bias,
            **_labels(model),
        },
        lacks={
            "pre_logits under a classifier": config.pre_logits is not None,
            "distillation token without a classifier": not config.classes,
            "layer_scale": config.layer_scale is not None,
            "registers": config.registers > 0,
            f"mlp={config.mlp}": config.is_gated,
        },
    )


def _siglip(model: Exported) -> _Class:
    config = model.config
    over = "classifier over a MAP head (--no-classifier leaves it out)"
    return _Class(
        title="SiglipVisionModel",
        names=torch_names.HF_SIGLIP,
        base="",
        embedded=0,
        description=_siglip_vision(config),
        lacks={**_siglip_lacks(config), over: bool(config.classes)},
    )


def _siglip_without_head(model: Exported) -> _Class:
    config = model.config
    vision = {**_siglip_vision(config), "vision_use_head": False}
    return _Class(
        title="SiglipForImageClassification",
        names=torch_names.HF_SIGLIP,
        base="vision_model.",
        embedded=0,
        description={"model_type": "siglip", "vision_config": vision, **_labels(model)},
        lacks={
            **_siglip_lacks(config), "mean pooling without a classifier": not config.classes,
        },
    )  # fmt: skip


def _siglip_vision(config: ModelConfig) -> dict[str, Any]:
    return {
        "model_type": "siglip_vision_model",
        **_shape(config),
        "intermediate_size": config.mlp_dim,
    }


def _siglip_lacks(config: ModelConfig) -> dict[str, bool]:
    return {"qkv_bias": not config.qkv_bias, "pre_logits": config.pre_logits is not None}


def _processor(model: Exported) -> dict[str, Any]:
    """How transformers prepares an image: as scoring does, but for its resizing."""
    config, evaluation = model.config, model.evaluation
    side, larger = config.resolution, round(config.resolution * evaluation.ratio)
    square = {"height": side, "width": side}
    is_small = evaluation.resize == "small"
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": larger} if is_small else {"height": larger, "width": larger},
        "resample": 2,
        "do_center_crop": True,
        "crop_size": square,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(config.pixel_mean),
        "image_std": list(config.pixel_std),
        "do_convert_rgb": True,
    }


def _is_dinov2(config: ModelConfig) -> bool:
    """Whether it has parts that no other class has."""
    return config.layer_scale is not None or config.registers > 0 or config.is_gated


def _whole_ratio(config: ModelConfig) -> int:
    """Of the MLP's hidden features to the width. Raises UsageError where no whole number gives
    them."""
    match config.mlp:
        case "plain":
            ratio = config.mlp_dim // config.width
            hidden = ratio * config.width
        case "swiglu":
            ratio = round(config.mlp_dim * 3 / 2 / config.width)
            # Two thirds of a plain MLP's, to the next multiple of 8
            hidden = (int(config.width * ratio * 2 / 3) + 7) // 8 * 8
        case _:
            assert_never(config.mlp)
    if hidden != config.mlp_dim or ratio < 1:
        of = "two thirds of a multiple" if config.is_gated else "a multiple"
        raise UsageError(
            f"DINOv2 of transformers has MLPs of {of} of the width {config.width}, not "
            f"{config.mlp_dim}"
        )
    return ratio
