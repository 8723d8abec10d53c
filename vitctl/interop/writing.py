"""Our parameters as another library's files: weights, and the JSON it wants beside them.

Only what a library's own model computes is written: a part that it lacks is an error that names the
part, never a number that differs.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, assert_never

import numpy as np

from vitctl.data.config import EvalPreprocess
from vitctl.errors import UsageError
from vitctl.interop import big_vision, matching, native, safetensors, torch_names
from vitctl.interop.targets import Target
from vitctl.interop.torch_names import Names
from vitctl.model import posemb
from vitctl.model.config import Gelu, ModelConfig

WEIGHTS = "model.safetensors"
NPZ = "model.npz"

_HF_GELU: dict[Gelu, str] = {
    "exact": "gelu", "tanh": "gelu_pytorch_tanh", "quick": "quick_gelu",
}  # fmt: skip
_TIMM_GELU: dict[Gelu, str] = {"exact": "gelu", "tanh": "gelu_tanh", "quick": "quick_gelu"}
# timm names no epsilon in JSON: a model has that of the architecture that its arguments change.
_TIMM_ARCHITECTURES = {1e-6: "vit_base_patch16_224", 1e-5: "vit_base_patch16_clip_224"}


@dataclass(frozen=True)
class Exported:
    """A model to write: its parameters on the host, what it is, its classes, and how images are
    scored with it."""

    params: matching.Params
    config: ModelConfig
    classes: Sequence[str]
    evaluation: EvalPreprocess

    def with_positions(self) -> Exported:
        """The same with fixed position embeddings written out, as a table that could be learned."""
        config = self.config
        if config.position == "learned":
            return self
        span = config.position_grid
        table = posemb.sincos2d(
            rows=config.grid,
            columns=config.grid,
            width=config.width,
            spanning=None if span is None else (span, span),
        )
        fields = config.model_dump() | {"position": "learned", "position_grid": None}
        return replace(
            self,
            params={**self.params, "position": table},
            config=ModelConfig.model_validate(fields),
        )


def files(model: Exported, *, to: Target) -> dict[str, bytes]:
    """Name -> content of every file of an export. Raises UsageError for a part that the library
    lacks."""
    match to:
        case "safetensors":
            return _safetensors(native.tensors(model.params), native.metadata(model.config))
        case "timm":
            return _timm(model.with_positions())
        case "huggingface":
            return _huggingface(model.with_positions())
        case "big_vision":
            return _big_vision(model)
        case "stablehlo":
            from vitctl.interop import stablehlo

            return stablehlo.files(model.params, config=model.config)
        case "onnx":
            from vitctl.interop import onnx_files

            return onnx_files.files(model.params, config=model.config, classes=model.classes)
        case _:
            assert_never(to)


def _timm(model: Exported) -> dict[str, bytes]:
    config = model.config
    _refuse(
        "timm",
        {
            "pre_logits": config.pre_logits is not None,
            "patch_bias": config.patch_bias == config.stem_norm,
            f"norm_epsilon={config.norm_epsilon:g}": config.norm_epsilon not in _TIMM_ARCHITECTURES,
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
        "global_pool": {"gap": "avg", "map": "map", "token": "token"}[config.head],
        "fc_norm": config.norm_after_pool,
        "reg_tokens": config.registers,
        "no_embed_class": True,
        "pre_norm": config.stem_norm,
        "qkv_bias": config.qkv_bias,
        "qk_norm": config.qk_norm,
        "init_values": config.layer_scale,
        "act_layer": _TIMM_GELU[config.gelu],
    }
    ratio = model.evaluation.ratio
    description = {
        "architecture": _TIMM_ARCHITECTURES[config.norm_epsilon],
        "num_classes": config.classes,
        "num_features": config.width,
        "global_pool": arguments["global_pool"],
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
        **_safetensors(tensors, {"format": "pt"}),
        "config.json": _json(description),
    }


def _huggingface(model: Exported) -> dict[str, bytes]:
    config = model.config
    shape: dict[str, Any] = {
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "image_size": config.resolution,
        "patch_size": config.patch,
        "hidden_act": _HF_GELU[config.gelu],
        "layer_norm_eps": config.norm_epsilon,
    }
    labels = {
        "id2label": {str(i): name for i, name in enumerate(model.classes)},
        "label2id": {name: i for i, name in enumerate(model.classes)},
    }
    lacks = {
        "qk_norm": config.qk_norm,
        "stem_norm": config.stem_norm,
        "patch_bias": not config.patch_bias,
        "class_token": config.class_token,
        "norm_after_pool": config.norm_after_pool,
        "projection": config.projection != "tanh",
    }
    extra: dict[str, np.ndarray] = {}
    embedded, base = 1, ""
    names: Names
    if config.layer_scale is not None or config.registers:
        title = "Dinov2WithRegistersModel" if config.registers else "Dinov2Model"
        lacks |= {
            f"head={config.head}": config.head != "token",
            "classifier over the [class] token (--no-classifier leaves it out)": bool(
                config.classes
            ),
            "pre_logits": config.pre_logits is not None,
            "model without layer_scale": config.layer_scale is None,
        }
        names = torch_names.HF_DINOV2
        shape |= {"mlp_ratio": _whole_ratio(config), "qkv_bias": config.qkv_bias}
        shape |= {"layerscale_value": config.layer_scale, "use_swiglu_ffn": False}
        kind = "dinov2_with_registers" if config.registers else "dinov2"
        if config.registers:
            shape["num_register_tokens"] = config.registers
        extra["embeddings.mask_token"] = np.zeros((1, config.width), np.float32)
        description = {"model_type": kind, **shape}
    elif config.head == "token":
        has_pooler = config.pre_logits is not None
        lacks |= {
            "pre_logits under a classifier": has_pooler and bool(config.classes),
            "pre_logits of another width": config.pre_logits not in (None, config.width),
        }
        title = "ViTForImageClassification" if config.classes else "ViTModel"
        names, base = torch_names.HF_VIT, "vit." if config.classes else ""
        shape |= {"intermediate_size": config.mlp_dim, "qkv_bias": config.qkv_bias}
        description = {"model_type": "vit", **shape, "pooler_act": "tanh"}
        if not config.classes and not has_pooler:
            lacks["backbone without pre_logits"] = True
        if config.classes:
            description |= labels
    else:
        names, embedded = torch_names.HF_SIGLIP, 0
        shape["intermediate_size"] = config.mlp_dim
        lacks |= {
            "qkv_bias": not config.qkv_bias,
            "pre_logits": config.pre_logits is not None,
            "classifier over a MAP head (--no-classifier leaves it out)": config.head == "map"
            and bool(config.classes),
            "mean pooling without a classifier": config.head == "gap" and not config.classes,
        }
        if config.head == "map":
            title = "SiglipVisionModel"
            description = {"model_type": "siglip_vision_model", **shape}
        else:
            title, base = "SiglipForImageClassification", "vision_model."
            vision = {"model_type": "siglip_vision_model", **shape, "vision_use_head": False}
            description = {"model_type": "siglip", "vision_config": vision, **labels}
    _refuse(f"{title} of transformers", lacks)
    description |= {"architectures": [title], "dtype": "float32"}
    groups = torch_names.groups(config, names, base=base, embedded=embedded, tokens=config.tokens)
    tensors = matching.written(groups, model.params) | extra
    return {
        **_safetensors(tensors, {"format": "pt"}),
        "config.json": _json(description),
        "preprocessor_config.json": _json(_processor(model)),
    }


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


def _big_vision(model: Exported) -> dict[str, bytes]:
    config = model.config
    lacks = dict.fromkeys(big_vision.lacks(config), True)
    # Their file does not say the size of image that fixed ones are for.
    _refuse("big_vision", lacks | {"position=sincos2d in a file": config.position == "sincos2d"})
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {
        f"params/{name}": array for name, array in big_vision.to_big_vision(model.params).items()
    }
    np.savez(buffer, **arrays)
    return {NPZ: buffer.getvalue()}


def _refuse(library: str, lacks: dict[str, bool]) -> None:
    missing = [part for part, is_lacking in lacks.items() if is_lacking]
    if missing:
        raise UsageError(
            f"{library} has no {', no '.join(missing)}",
            hint="export to another library, or with --to safetensors, stablehlo or onnx",
        )


def _ratio(config: ModelConfig) -> float:
    """A ratio of which timm makes this MLP: it takes the whole part of width times ratio."""
    ratio = config.mlp_dim / config.width
    return ratio if int(config.width * ratio) == config.mlp_dim else ratio + 0.5 / config.width


def _whole_ratio(config: ModelConfig) -> int:
    if config.mlp_dim % config.width:
        raise UsageError(
            f"DINOv2 of transformers has MLPs of a multiple of the width {config.width}, not "
            f"{config.mlp_dim}"
        )
    return config.mlp_dim // config.width


def _safetensors(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / WEIGHTS
        safetensors.write(path, tensors, metadata=metadata)
        return {WEIGHTS: path.read_bytes()}


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
