"""Run by the Python that has torch, timm, transformers and open_clip, not imported by tests.

library_models.py make FOLDER    random models, each in FOLDER/NAME/ as its library saves it,
                                 with images.npy [b, i, j, 3] of [0, 1] and what it computes of
                                 them: features.npy, logits.npy where it has a classifier
library_models.py load FOLDER    for each FOLDER/NAME/: loads the export into its library and
                                 writes features.npy, logits.npy of images.npy
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

# Some wheels of torchvision have no CPU operators and do not load without; timm only imports it.
# The others define them themselves, and a second definition ends the process.
try:
    import torchvision  # noqa: F401
except RuntimeError:
    for _module in [name for name in sys.modules if name.startswith("torchvision")]:
        del sys.modules[_module]
    _stubs = torch.library.Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        _stubs.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import open_clip
import timm
import transformers as hf
from safetensors.torch import save_file
from timm.layers import SwiGLU, SwiGLUPacked
from timm.models.deit import VisionTransformerDistilled
from timm.models.naflexvit import NaFlexVit, NaFlexVitCfg

SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 4}
HALF = [0.5] * 3
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
CLIP = (
    [0.48145466, 0.4578275, 0.40821073],
    [0.26862954, 0.26130258, 0.27577711],
)

TIMM = {
    "timm-token": {},
    "timm-avg": {"global_pool": "avg"},
    "timm-avg-before": {"global_pool": "avg", "fc_norm": False, "class_token": False},
    "timm-map": {"global_pool": "map", "class_token": False, "act_layer": "gelu_tanh"},
    "timm-map-class": {"global_pool": "map"},
    "timm-dinov2": {"init_values": 1e-5, "reg_tokens": 4, "no_embed_class": True, "num_classes": 0},
    "timm-registers": {"reg_tokens": 2, "num_classes": 4},
    "timm-deit3": {"init_values": 1e-6, "no_embed_class": True},
    "timm-qk-norm": {"qk_norm": True, "qkv_bias": False},
    "timm-clip": {"pre_norm": True, "act_layer": "quick_gelu", "norm_layer": "layernorm"},
    "timm-swiglu": {
        "mlp_layer": SwiGLUPacked, "act_layer": "silu", "init_values": 1e-5, "reg_tokens": 2,
        "no_embed_class": True,
    },
    "timm-swiglu-apart": {"mlp_layer": SwiGLU, "act_layer": "silu", "global_pool": "avg"},
    "timm-distilled": {"class": VisionTransformerDistilled},
    "timm-distilled-features": {"class": VisionTransformerDistilled, "num_classes": 0},
    "timm-wide": {"img_size": (8, 20), "class_token": True},
}  # fmt: skip


def shaken(model: torch.nn.Module) -> torch.nn.Module:
    """Nothing zero, nothing equal: a part that is left out or swapped shows."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            shaken = 0.2 * noise + (0.5 if parameter.ndim == 1 else 0.0)
            parameter.copy_(shaken.half())
    return model.eval()


def images(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(size=(3, height, width, 3)).astype(np.float32)


def normalised(pixels: np.ndarray, mean: list[float], std: list[float]) -> torch.Tensor:
    x = (pixels - np.array(mean, np.float32)) / np.array(std, np.float32)
    return torch.from_numpy(x.transpose(0, 3, 1, 2).copy())


def keep(folder: Path, pixels: np.ndarray, features: torch.Tensor, logits: torch.Tensor | None):
    np.save(folder / "images.npy", pixels)
    np.save(folder / "features.npy", features.detach().numpy())
    if logits is not None:
        np.save(folder / "logits.npy", logits.detach().numpy())


def halved(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.half().contiguous() for name, value in model.state_dict().items()}


def timm_model(arguments: dict) -> torch.nn.Module:
    usual = {
        "img_size": 12, "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2,
        "mlp_ratio": 2, "num_classes": 5,
    }  # fmt: skip
    arguments = usual | arguments
    kind = arguments.pop("class", timm.models.VisionTransformer)
    return kind(**arguments).eval()


TIMM_NAFLEX = {
    "timm-naflex-gap": {
        "global_pool": "avg", "fc_norm": True, "reg_tokens": 4, "init_values": 1e-5,
    },
    "timm-naflex-map": {"global_pool": "map", "reg_tokens": 1, "act_layer": "gelu_tanh"},
    "timm-naflex-token": {"global_pool": "token", "class_token": True, "qkv_bias": False},
    "timm-naflex-conv": {"global_pool": "avg", "embed_proj_type": "conv", "qk_norm": True},
}  # fmt: skip
"""Of timm's NaFlexVit, which has its position embeddings as a grid."""


def make_timm_naflex(folder: Path, name: str) -> None:
    arguments = {
        "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2, "mlp_ratio": 2,
        "pos_embed_grid_size": (3, 3),
    } | TIMM_NAFLEX[name]  # fmt: skip
    model = shaken(NaFlexVit(NaFlexVitCfg(**arguments), num_classes=5).eval())
    pixels = images(12, 12)
    keep(folder, pixels, *timm_outputs(model, normalised(pixels, HALF, HALF)))
    save_file(halved(model), folder / "model.safetensors")
    described = {
        "architecture": "naflexvit_base_patch16_gap", "num_classes": 5,
        "model_args": {"num_heads": 2, "act_layer": arguments.get("act_layer", "gelu")},
        "global_pool": arguments["global_pool"],
        "pretrained_cfg": {"mean": HALF, "std": HALF, "input_size": [3, 48, 48]},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(described))


def timm_outputs(model: torch.nn.Module, x: torch.Tensor) -> tuple:
    """Features before the classifier and its answer. Of DeiT's two tokens timm has the mean as
    features, of which no classifier is: here they are side by side."""
    with torch.no_grad():
        tokens = model.forward_features(x)
        features = model.forward_head(tokens, pre_logits=True)
        if isinstance(model, VisionTransformerDistilled):
            features = tokens[:, :2].flatten(1)
        return features, model.forward_head(tokens) if model.num_classes else None


def make_timm(folder: Path, name: str) -> None:
    arguments = TIMM[name]
    model = shaken(timm_model(arguments))
    size = arguments.get("img_size", (12, 12))
    pixels = images(*size)
    keep(folder, pixels, *timm_outputs(model, normalised(pixels, *IMAGENET)))
    save_file(halved(model), folder / "model.safetensors")
    described = {
        "architecture": "vit_tiny", "num_classes": model.num_classes,
        "model_args": {"num_heads": 2, "act_layer": arguments.get("act_layer", "gelu")},
        "global_pool": arguments.get("global_pool", "token"),
        "pretrained_cfg": {"mean": IMAGENET[0], "std": IMAGENET[1], "input_size": [3, *size]},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(described))


def hf_models() -> dict:
    mlp = {"intermediate_size": 32, "image_size": 12}
    dino = {"mlp_ratio": 2, "image_size": 12}
    return {
        "hf-vit": (hf.ViTForImageClassification, hf.ViTConfig(**SIZE, **mlp, num_labels=5)),
        "hf-vit-no-bias": (
            hf.ViTForImageClassification,
            hf.ViTConfig(**SIZE, **mlp, num_labels=5, qkv_bias=False),
        ),
        "hf-vit-pooler": (hf.ViTModel, hf.ViTConfig(**SIZE, **mlp)),
        "hf-dinov2": (hf.Dinov2Model, hf.Dinov2Config(**SIZE, **dino)),
        "hf-dinov2-registers": (
            hf.Dinov2WithRegistersModel,
            hf.Dinov2WithRegistersConfig(**SIZE, **dino, num_register_tokens=3),
        ),
        "hf-dinov2-giant": (
            hf.Dinov2Model,
            hf.Dinov2Config(**SIZE, **dino, use_swiglu_ffn=True),
        ),
        "hf-deit": (hf.DeiTForImageClassification, hf.DeiTConfig(**SIZE, **mlp, num_labels=5)),
        "hf-deit-pooler": (hf.DeiTModel, hf.DeiTConfig(**SIZE, **mlp)),
        "hf-deit-teacher": (
            hf.DeiTForImageClassificationWithTeacher,
            hf.DeiTConfig(**SIZE, **mlp, num_labels=5),
        ),
        "hf-siglip": (hf.SiglipVisionModel, hf.SiglipVisionConfig(**SIZE, **mlp)),
        "hf-siglip2-naflex": (
            hf.Siglip2VisionModel,
            hf.Siglip2VisionConfig(**SIZE, intermediate_size=32, num_patches=9),
        ),
        "hf-clip": (
            hf.CLIPVisionModelWithProjection,
            hf.CLIPVisionConfig(**SIZE, **mlp, projection_dim=12),
        ),
    }


def hf_outputs(name: str, model: torch.nn.Module, x: torch.Tensor) -> tuple:
    with torch.no_grad():
        if hasattr(model, "cls_classifier"):
            return model.base_model(x).last_hidden_state[:, :2].flatten(1), model(x).logits
        if hasattr(model, "classifier"):
            hidden = model.base_model(x).last_hidden_state
            return hidden[:, 0], model(x).logits
        if name == "hf-siglip2-naflex":
            b, channels, height, width = x.shape
            p = model.config.patch_size
            rows, columns = height // p, width // p
            patches = x.reshape(b, channels, rows, p, columns, p).permute(0, 2, 4, 3, 5, 1)
            count = rows * columns
            return model(
                patches.reshape(b, count, -1),
                torch.ones(b, count, dtype=torch.int64),
                torch.tensor([[rows, columns]] * b),
            ).pooler_output, None
        if name == "hf-clip":
            return model(x).image_embeds, None
        return model(x).pooler_output, None


def make_hf(folder: Path, name: str) -> None:
    kind, config = hf_models()[name]
    model = shaken(kind(config))
    mean, std = CLIP if name == "hf-clip" else (HALF, HALF)
    pixels = images(12, 12)
    keep(folder, pixels, *hf_outputs(name, model, normalised(pixels, mean, std)))
    model.half().save_pretrained(folder)
    processor = {"image_mean": mean, "image_std": std, "size": {"height": 12, "width": 12}}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))


def make_open_clip(folder: Path) -> None:
    vision = {"image_size": 12, "layers": 2, "width": 16, "patch_size": 4, "head_width": 8}
    text = {"context_length": 4, "vocab_size": 8, "width": 8, "heads": 2, "layers": 1}
    model = shaken(open_clip.CLIP(12, vision, text, quick_gelu=True))
    pixels = images(12, 12)
    with torch.no_grad():
        features = model.encode_image(normalised(pixels, *CLIP))
    keep(folder, pixels, features, None)
    save_file(halved(model), folder / "open_clip_model.safetensors")
    described = {
        "model_cfg": {"embed_dim": 12, "vision_cfg": vision, "quick_gelu": True},
        "preprocess_cfg": {"mean": CLIP[0], "std": CLIP[1], "interpolation": "bicubic"},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(described))


def make(root: Path) -> None:
    makers = dict.fromkeys(TIMM, make_timm) | dict.fromkeys(hf_models(), make_hf)
    makers |= dict.fromkeys(TIMM_NAFLEX, make_timm_naflex)
    for name, maker in makers.items():
        (root / name).mkdir(parents=True)
        maker(root / name, name)
    (root / "open-clip").mkdir()
    make_open_clip(root / "open-clip")


def load(root: Path) -> None:
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        config = json.loads((folder / "config.json").read_text())
        pixels = np.load(folder / "images.npy")
        if "architectures" in config:
            model = getattr(hf, config["architectures"][0]).from_pretrained(folder).eval()
            content = json.loads((folder / "preprocessor_config.json").read_text())
            x = normalised(pixels, content["image_mean"], content["image_std"])
            features, logits = hf_outputs(config["model_type"], model, x)
        else:
            arguments = config["model_args"]
            model = timm.create_model(
                config["architecture"], num_classes=config["num_classes"],
                checkpoint_path=str(folder / "model.safetensors"), **arguments,
            ).eval()  # fmt: skip
            content = config["pretrained_cfg"]
            x = normalised(pixels, content["mean"], content["std"])
            features, logits = timm_outputs(model, x)
        keep(folder, pixels, features, logits)


if __name__ == "__main__":
    {"make": make, "load": load}[sys.argv[1]](Path(sys.argv[2]))
