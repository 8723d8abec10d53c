"""The model that tensors of a torch codebase are of: what their shapes leave open is taken from
what a user says, else from the files beside them, else from the layout.
"""

from __future__ import annotations

from typing import Any, NamedTuple, get_args

from vitctl.errors import InputError, UsageError
from vitctl.interop import head_names, torch_names
from vitctl.interop.described import SILU, Described, not_ours
from vitctl.interop.layouts import PIXELS, Detected
from vitctl.interop.overrides import Said
from vitctl.interop.torch_shapes import TorchShapes, resolution_of
from vitctl.model import variants
from vitctl.model.config import Gelu, ModelConfig
from vitctl.model.heads import Head, poolings_of, tokens_of
from vitctl.text.quoting import quoted


class OpenSettings:
    """Values that shapes leave open, with what is to be told of where they came from."""

    def __init__(self, detected: Detected, about: Described, said: Said) -> None:
        self.detected, self.about, self.said = detected, about, said
        self.notes: list[str] = []
        self.assumed: list[str] = []

    def value(self, name: str, said: Any, described: Any, default: Any) -> Any:
        if said is not None:
            return said
        if described is not None:
            self.notes.append(f"{name} {described} (from the files beside the weights)")
            return described
        title, flag = self.detected.layout.title, name.replace("_", "-")
        self.notes.append(f"{name} {default} (usual for {title}; --{flag} says otherwise)")
        return default

    def pixels(self) -> tuple[Any, Any]:
        if self.said.pixels is not None:
            return PIXELS[self.said.pixels]
        if self.about.pixels is not None:
            mean, std = self.about.pixels
            self.notes.append(f"pixels: mean {_list(mean)}, std {_list(std)} (from the files)")
            return self.about.pixels
        layout = self.detected.layout
        sentence = (
            f"nothing beside the weights says how pixels are normalised: {layout.pixels} is taken "
            f"(mean {_list(PIXELS[layout.pixels][0])}); --pixels {'|'.join(PIXELS)} says otherwise"
        )
        (self.assumed if layout.unsure else self.notes).append(sentence)
        return PIXELS[layout.pixels]

    def heads(self, shape: TorchShapes) -> int:
        if self.said.heads is not None:
            return self.said.heads
        if self.about.heads is not None:
            self.notes.append(f"heads {self.about.heads} (from the files beside the weights)")
            return self.about.heads
        usual = {
            v.heads
            for v in variants.RECOGNIZED
            if (v.width, v.depth, v.mlp_dim) == (shape.width, shape.depth, shape.mlp_dim)
        }
        if len(usual) == 1:
            heads = usual.pop()
            self.notes.append(f"heads {heads} (of the usual model of this size)")
            return heads
        raise UsageError(
            f"nothing says how many attention heads share the width {shape.width}",
            hint="give their number: --heads (often the width divided by 64)",
        )

    def gelu(self, shape: TorchShapes) -> Gelu:
        """Of plain MLPs. Raises InputError for another activation, UsageError for one that is said
        of gates."""
        if shape.gated is None:
            if self.about.activation is not None and self.about.gelu is None:
                raise not_ours(self.about.activation)
            gelu: Gelu = self.value(
                "gelu", self.said.gelu, self.about.gelu, self.detected.layout.gelu
            )
            return gelu
        if self.said.gelu is not None:
            raise UsageError("--gelu is of plain MLPs, and the model's have gates (SwiGLU)")
        activation = self.about.activation
        if activation is not None and activation not in SILU:
            raise InputError(
                f"the model's MLPs have gates with the activation {quoted(activation)}, and "
                "those of vitctl's models have silu (SwiGLU)"
            )
        if activation is None and self.detected.layout.gates_unsure and shape.gated.gate is None:
            self.assumed.append(
                "nothing beside the weights says which half of the first matrix of the MLPs makes "
                "gates, and by which activation: the first half and silu are taken, as of timm's "
                "SwiGLUPacked with act_layer=SiLU"
            )
        elif activation is None and self.detected.layout.gates_unsure:
            self.assumed.append(
                "nothing beside the weights says the activation of the gates of the MLPs: silu is "
                "taken"
            )
        else:
            self.notes.append("MLPs with gates by silu (SwiGLU)")
        return ModelConfig.model_fields["gelu"].default  # of no MLP


class _Pooling(NamedTuple):
    head: Head
    class_token: bool
    norm_after: bool


def config_of(
    shape: TorchShapes, taken: OpenSettings, about: Described, grid: tuple[int, int]
) -> ModelConfig:
    names, said = shape.names, taken.said
    layout = taken.detected.layout
    stem_norm = shape.has(f"{names.stem_norm}.weight")
    epsilon = 1e-5 if stem_norm and layout.epsilon == 1e-6 else layout.epsilon
    pooling = _pooling(shape, taken, about)
    mean, std = taken.pixels()
    scaled = shape.has_in_block(names.attention_scale)
    pre_logits = shape.linear if shape.linear is not None else shape.tanh
    return ModelConfig(
        width=shape.width,
        depth=shape.depth,
        mlp_dim=shape.mlp_dim,
        heads=taken.heads(shape),
        patch=shape.patch,
        resolution=resolution_of(shape, about, grid),
        classes=shape.classes,
        head=pooling.head,
        pre_logits=pre_logits,
        projection="tanh" if shape.linear is None else "linear",
        mlp="plain" if shape.gated is None else "swiglu",
        gelu=taken.gelu(shape),
        norm_epsilon=taken.value("norm_epsilon", said.norm_epsilon, about.epsilon, epsilon),
        qkv_bias=shape.has_qkv_bias,
        qk_norm=shape.has_in_block(f"{names.query_norm}.weight"),
        layer_scale=(about.layer_scale or 1e-5) if scaled else None,
        registers=shape.registers
        + (0 if "distillation_token" in poolings_of(pooling.head) else shape.distillation),
        class_token=pooling.class_token,
        stem_norm=stem_norm,
        patch_bias=shape.has(f"{names.patch}.bias"),
        norm_after_pool=pooling.norm_after,
        pixel_mean=mean,
        pixel_std=std,
    )


def _pooling(shape: TorchShapes, taken: OpenSettings, about: Described) -> _Pooling:
    """How tokens become one vector: as the files beside say, else by names. Raises InputError for a
    way that our models lack, and where the weights have another one."""
    names = shape.names
    after = names.norm_after is not None and shape.has(f"{names.norm_after}.weight")
    described_head = head_names.of_timm(about.pool) if about.pool else None
    if about.pool and described_head is None:
        raise InputError(
            f"the model pools its tokens by {quoted(about.pool)}, which vitctl's models do not do",
            hint=f"they have {', '.join(get_args(Head))}",
        )
    probe = "latent" if names.map_style == "timm" else "probe"
    head: Head
    if names.map_head is not None and shape.has(f"{names.map_head}.{probe}"):
        head = "map"
    elif shape.has_two_classifiers or (
        shape.distillation and not shape.classes and shape.tanh is None
    ):
        head = "distilled"
    elif described_head in ("gap", "token"):
        head = described_head
    elif after or not shape.has_class_token:
        head = "gap"
    else:
        head = "token"
        if names is torch_names.TIMM:
            taken.notes.append("pooling by the [class] token (usual for timm)")
    reads_both = "distillation_token" in poolings_of(head)
    if shape.distillation and not reads_both:
        taken.notes.append("no classifier reads the distillation token: it is a register")
    elif reads_both and not shape.classes:
        taken.notes.append(
            "features are those of the [class] and of the distillation token, side by side"
        )
    # DeiT in timm calls its pooling by the first of the two tokens that it reads.
    is_called = (head_names.names_of(h).timm for h in (described_head, head) if h is not None)
    if len(set(is_called)) > 1:
        raise InputError(
            f"the files beside the weights say that tokens are pooled by {quoted(about.pool)}, and "
            f"the weights are of head={quoted(head)}"
        )
    if "probe" in poolings_of(head) and shape.gated is not None:
        raise InputError(
            "the model has gates in its blocks (SwiGLU) and a MAP head, whose MLP is of another "
            "kind there than in vitctl's models",
            hint="import a model that reads the [class] token or the mean",
        )
    is_apart = shape.has_class_token and not tokens_of(head)
    return _Pooling(head, class_token=is_apart, norm_after=after)


def _list(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
