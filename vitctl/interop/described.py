"""What the JSON files beside a model's weights say of it, in one form for all codebases.

timm's `config.json` has the architecture and `pretrained_cfg`, Hugging Face's the settings of the
model, and `preprocessor_config.json` those of the images; open_clip's has both. Anything may be
missing, nothing is believed that has another type.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vitctl.errors import InputError
from vitctl.interop.layouts import TensorLayout
from vitctl.model.config import Colours, Gelu
from vitctl.text.quoting import quoted

_GELU: dict[str, Gelu] = {
    "gelu": "exact", "gelu_python": "exact", "gelu_pytorch_tanh": "tanh", "gelu_new": "tanh",
    "gelu_tanh": "tanh", "gelu_fast": "tanh", "quick_gelu": "quick", "quickgelu": "quick",
}  # fmt: skip
SILU = ("silu", "swish")
"""Names of x * sigmoid(x)."""
_SILU_GATES = r"vit_giant_patch14_(reg4_)?dinov2|vit_giant_patch14_reg1_tipsv2"
"""Architectures of timm whose MLPs are SwiGLUPacked with act_layer=SiLU."""
_NO_CHANGE = 0.0
_LEAST_CROP = 1e-3
_MOST_DIGITS = 18


_UNLIKE = (
    (
        r".*_rope(_.*)?|vit_pe_.*|eva02_.*|.*_dinov3(_.*)?",
        "turns queries and keys by their position (rotary embeddings)",
    ),
    (r".*_rpn_.*", "has its norms after attention and MLP (residual post-norm)"),
)
"""Architectures of timm that compute something else from tensors of the same names and shapes."""
_ARGUMENTS: dict[str, tuple[tuple[Any, ...], str]] = {
    "patchify_channels_last": ((True,), "takes the numbers of a patch colour by colour"),
    "pool_include_prefix": ((False,), "pools the tokens in front of the patches, too"),
    "rope_type": (("", "none"), "turns queries and keys by their position"),
}
"""Arguments of timm's models by which they compute something else from the same tensors: the values
that change nothing, and what others do."""


@dataclass(frozen=True)
class Described:
    """What is said; None where nothing is.

    Attributes:
      gelu: which one the MLPs have, where it is one of ours.
      activation: of the MLPs, as the files call it where they name one.
    """

    heads: int | None = None
    gelu: Gelu | None = None
    activation: str | None = None
    epsilon: float | None = None
    image: tuple[int, int] | None = None
    pixels: tuple[Colours, Colours] | None = None
    pool: str | None = None
    layer_scale: float | None = None
    classes: tuple[str, ...] = ()
    architecture: str | None = None
    squashed: bool | None = None
    crop_ratio: float | None = None
    interpolation: str | None = None


def described(configs: Mapping[str, Any], *, layout: TensorLayout) -> Described:
    """Read the files beside the weights. Raises InputError for a model that is another one."""
    config = _table(configs.get("config.json"))
    images = _table(configs.get("preprocessor_config.json"))
    clip = _table(configs.get("open_clip_config.json"))
    if clip:
        return _of_open_clip(clip)
    if "pretrained_cfg" in config or "architecture" in config:
        return _of_timm(config)
    return _of_transformers(config, images)


def _of_timm(config: Mapping[str, Any]) -> Described:
    trained = {**config, **_table(config.get("pretrained_cfg"))}
    arguments = _table(config.get("model_args"))
    architecture = _text(config.get("architecture")) or ""
    _refuse_unlike(architecture)
    _refuse_arguments(arguments)
    gelu: Gelu | None = None
    if (act := _text(arguments.get("act_layer"))) is not None:
        gelu = _gelu(act)
    elif re.fullmatch(_SILU_GATES, architecture.partition(".")[0]):
        act = SILU[0]
    elif architecture:
        quick, tanh = "quickgelu" in architecture, "siglip" in architecture
        gelu = "quick" if quick else "tanh" if tanh else "exact"
    size = trained.get("input_size")
    sides = [_int(side) for side in size[1:]] if isinstance(size, list) and len(size) == 3 else []
    crop = _float(trained.get("crop_pct"))
    names = trained.get("label_names")
    return Described(
        heads=_int(arguments.get("num_heads")),
        gelu=gelu,
        activation=act,
        image=(sides[0], sides[1]) if sides and sides[0] and sides[1] else None,
        pixels=_pixels(trained.get("mean"), trained.get("std")),
        pool=_text(arguments.get("global_pool") or config.get("global_pool")),
        layer_scale=_float(arguments.get("init_values")),
        classes=tuple(map(str, names)) if isinstance(names, list) else (),
        architecture=architecture or None,
        squashed=trained.get("crop_mode") == "squash" if "crop_mode" in trained else None,
        crop_ratio=1 / crop if crop is not None and _LEAST_CROP <= crop <= 1 else None,
        interpolation=_text(trained.get("interpolation")),
    )


def _of_transformers(config: Mapping[str, Any], images: Mapping[str, Any]) -> Described:
    config = {**config, **_table(config.get("vision_config"))}
    act = _text(config.get("hidden_act"))
    if config.get("use_swiglu_ffn") is True:  # its gates are by silu whatever hidden_act is
        act = SILU[0]
    size = config.get("image_size")
    image = None
    sides = [_int(side) for side in (size if isinstance(size, list) else [size, size])]
    if len(sides) == 2 and sides[0] and sides[1]:
        image = (sides[0], sides[1])
    labels = _table(config.get("id2label"))
    ordered = sorted(labels, key=_number_of)
    resample = _int(images.get("resample"))
    normalised = images.get("do_normalize")
    pixels = _pixels(images.get("image_mean"), images.get("image_std"))
    if normalised is False:
        pixels = ((_NO_CHANGE,) * 3, (1.0,) * 3)
    shown, crop = _table(images.get("size")), _table(images.get("crop_size"))
    shortest, height = _int(shown.get("shortest_edge")), _int(crop.get("height"))
    has_crop = images.get("do_center_crop", bool(crop)) and shortest and height
    squashed = None if not shown else "shortest_edge" not in shown
    return Described(
        heads=_int(config.get("num_attention_heads")),
        gelu=None if act is None else _gelu(act),
        activation=act,
        epsilon=_float(config.get("layer_norm_eps")),
        image=image,
        pixels=pixels,
        layer_scale=_float(config.get("layerscale_value")),
        classes=tuple(str(labels[key]) for key in ordered),
        architecture=_text(config.get("model_type")),
        squashed=squashed,
        crop_ratio=1.0 if squashed else shortest / height if has_crop else None,  # type: ignore[operator]
        interpolation={2: "bilinear", 3: "bicubic"}.get(resample or -1),
    )


def _of_open_clip(config: Mapping[str, Any]) -> Described:
    model, images = _table(config.get("model_cfg")), _table(config.get("preprocess_cfg"))
    vision = _table(model.get("vision_cfg"))
    width, per_head = _int(vision.get("width")), _int(vision.get("head_width")) or 64
    timm = _text(vision.get("timm_model_name"))
    _refuse_unlike(timm or "")
    quick = bool(model.get("quick_gelu"))
    gelu: Gelu = "quick" if quick else "exact"
    if timm is not None:
        gelu = "tanh" if "siglip" in timm else "quick" if "quickgelu" in timm else "exact"
    size = _int(vision.get("image_size"))
    return Described(
        heads=width // per_head if width and not timm else None,
        gelu=gelu,
        image=(size, size) if size else None,
        pixels=_pixels(images.get("mean"), images.get("std")),
        pool=_text(vision.get("timm_pool")),
        architecture=timm,
        squashed=images.get("resize_mode") == "squash" if "resize_mode" in images else None,
        crop_ratio=1.0,
        interpolation=_text(images.get("interpolation")),
    )


def _refuse_unlike(architecture: str) -> None:
    for pattern, difference in _UNLIKE:
        if re.fullmatch(pattern, architecture.partition(".")[0]):
            raise InputError(
                f"the model {quoted(architecture)} {difference}, which vitctl's models do not do",
                hint="import a plain model, as vit_base_patch16_224 of timm",
            )


def _refuse_arguments(arguments: Mapping[str, Any]) -> None:
    heads = (arguments.get("num_heads"),), "has another number of heads where it pools"
    for name, (usual, difference) in {**_ARGUMENTS, "attn_pool_num_heads": heads}.items():
        value = arguments.get(name)
        if value is not None and value not in usual:
            raise InputError(
                f"the model {difference} ({name}={quoted(str(value))}), which vitctl's models do "
                "not do"
            )


def _gelu(text: str) -> Gelu | None:
    """None of gates' silu. Raises InputError for what no MLP here has."""
    if text in SILU:
        return None
    if text not in _GELU:
        raise not_ours(text)
    return _GELU[text]


def not_ours(activation: str) -> InputError:
    """The error of MLPs with another activation."""
    return InputError(
        f"the model's activation is {quoted(activation)}, which vitctl's models do not have",
        hint=f"they have {', '.join(sorted(_GELU))}, and silu in MLPs with gates (SwiGLU)",
    )


def _pixels(mean: Any, std: Any) -> tuple[Colours, Colours] | None:
    ok = [isinstance(v, list) and len(v) == 3 and all(map(_is_number, v)) for v in (mean, std)]
    if not all(ok):
        return None
    return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])


def _is_number(value: Any) -> bool:
    """Whether it is a finite number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max


def _number_of(key: str) -> int:
    """A class's number, which is text in JSON; -1 for a key that is none."""
    return int(key) if key.isdecimal() and len(key) <= _MOST_DIGITS else -1


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _int(value: Any) -> int | None:
    return value if type(value) is int and value > 0 else None


def _float(value: Any) -> float | None:
    return float(value) if _is_number(value) and value > 0 else None
