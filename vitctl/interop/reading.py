"""A file of weights -> our parameters and the model they are of.

What shapes leave open (heads, activation, epsilon, pixels) is taken from the files beside the
weights, else from what a user says, else from the layout; whatever no file said is told.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple, get_args

from pydantic import ValidationError

from vitctl.errors import InputError, UsageError
from vitctl.interop import (
    big_vision_files,
    head_names,
    matching,
    native,
    torch_names,
    torch_tensors,
)
from vitctl.interop.described import SILU, Described, described, not_ours
from vitctl.interop.layout_names import LayoutName
from vitctl.interop.layouts import PIXELS, Detected, detect
from vitctl.interop.torch_names import GatedNames
from vitctl.interop.weight_files import Weights
from vitctl.model import variants
from vitctl.model.config import Gelu, ModelConfig
from vitctl.model.heads import Head, poolings_of, tokens_of
from vitctl.text.quoting import quoted

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


@dataclass(frozen=True)
class Said:
    """What a user says of a model, which wins over all else; None where nothing."""

    layout: LayoutName | None = None
    heads: int | None = None
    grid: tuple[int, int] | None = None
    pixels: str | None = None
    gelu: Gelu | None = None
    norm_epsilon: float | None = None


@dataclass(frozen=True)
class Model:
    """A model as it was read.

    Attributes:
      load: gives our parameters, fp32, for `config` but with the position embeddings of `grid`.
        Raises InputError unless every tensor is matched.
      config: with the resolution of the file.
      grid: (rows, columns) of the position embeddings.
      matched: number of the file's tensors that were used.
      left_out: its tensors that are no part of the model.
      notes: what was read where, and what nothing said.
      assumed: sentences on what may be otherwise and changes every number.
    """

    load: Callable[[], matching.Params]
    config: ModelConfig
    grid: tuple[int, int]
    layout: str
    title: str
    described: Described
    matched: int
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    assumed: tuple[str, ...] = field(default=())


def read(weights: Weights, *, said: Said) -> Model:
    """What the file's model is, by names, shapes and the files beside it; no tensor of torch is
    read before `Model.load`. Raises InputError, UsageError."""
    if native.MODEL in weights.metadata and said.layout in (None, "vitctl"):
        return _of_our_own(weights)
    if weights.name.endswith(".npz") or said.layout == "big-vision":
        return _of_big_vision(weights, said)
    detected = detect(weights.shapes.keys(), wanted=said.layout)
    about = described(weights.configs, layout=detected.layout)
    shape = _Shape(detected, weights.shapes)
    grid, embedded = _grid(shape, about, said)
    taken = _Taken(detected, about, said)
    if shape.is_matrix:
        # Its own preprocessing keeps the whole image and its proportions.
        about = replace(about, squashed=True, crop_ratio=1.0)
        rows, columns = (side * shape.patch for side in grid)
        taken.assumed.append(
            "the model takes images of any proportions (NaFlex); here all are squashed to the "
            f"{rows} x {columns} pixels that its position embeddings are stored for"
        )
    try:
        config = _config(shape, taken, about, grid)
    except ValidationError as error:
        first = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InputError(f"the tensors are of no model that vitctl has: {first}") from None
    groups = torch_tensors.groups(
        config,
        detected.layout.names,
        base=detected.base,
        embedded=embedded,
        tokens=math.prod(grid),
        gated=shape.gated,
        distillation=shape.distillation > 0,
        patch_matrix=shape.is_matrix,
    )
    expected = {name for group in groups for name in group.theirs}
    left_out = detected.left_out(weights.shapes, expected=expected)
    own = {name: s for name, s in weights.shapes.items() if name not in set(left_out)}
    matching.check({n: s for g in groups for n, s in g.theirs.items()}, actual=own)
    return Model(
        partial(matching.filled, groups, shapes=own, read=weights.read),
        config,
        grid,
        detected.layout.name,
        detected.layout.title,
        about,
        len(own),
        tuple(left_out),
        tuple(taken.notes),
        tuple(taken.assumed),
    )


def _of_our_own(weights: Weights) -> Model:
    config = native.config_of(weights)
    return Model(
        partial(native.params_of, weights, config=config),
        config,
        (config.grid, config.grid),
        "vitctl",
        "an export of vitctl",
        Described(),
        len(weights.shapes),
    )


def _of_big_vision(weights: Weights, said: Said) -> Model:
    named = big_vision_files.load(weights)
    config, grid = big_vision_files.config_of(named, title=weights.name)
    notes = ["heads, activation and norms as big_vision has them"]
    pixels = said.pixels or "half"
    if said.pixels is None:
        notes.append("pixels from -1 to 1, as big_vision's (--pixels says otherwise)")
    mean, std = PIXELS[pixels]
    changes: dict[str, Any] = {"pixel_mean": mean, "pixel_std": std}
    if said.gelu is not None:
        changes["gelu"] = said.gelu
    if said.norm_epsilon is not None:
        changes["norm_epsilon"] = said.norm_epsilon
    config = ModelConfig.model_validate(config.model_dump() | changes)
    return Model(
        partial(big_vision_files.params_of, named, config=config),
        config,
        grid,
        "big-vision",
        "big_vision's or vision_transformer's ViT",
        Described(),
        len(named),
        notes=tuple(notes),
    )


class _Shape:
    """Sizes as the tensors' shapes say them."""

    def __init__(self, detected: Detected, shapes: Shapes) -> None:
        self.names, self.base, self.shapes = detected.layout.names, detected.base, shapes
        patch = self.of(f"{self.names.patch}.weight")
        ranks = (2, 4) if self.names.patch_matrix else (4,)
        if patch is None or len(patch) not in ranks or (len(patch) == 4 and patch[2] != patch[3]):
            raise InputError(f"the patch embedding is {list(patch or ())}, not [d, 3, p, p]")
        self.is_matrix = len(patch) == 2
        """As of models that take images of any proportions (NaFlex)."""
        self.width = patch[0]
        self.patch = math.isqrt(patch[1] // 3) if self.is_matrix else patch[2]
        if (self.is_matrix and 3 * self.patch**2 != patch[1]) or (
            not self.is_matrix and patch[1] != 3
        ):
            raise InputError(f"the patch embedding {list(patch)} is not of 3 colours")
        pattern = re.compile(re.escape(self.base + self.names.block).replace(r"\{\}", r"(\d+)"))
        layers = {int(m[1]) for name in shapes if (m := pattern.match(name))}
        self.depth = max(layers) + 1
        self.gated = self._gated()
        up = self.in_block(f"{self.names.up}.weight")
        self.mlp_dim = up[0] if up else 0
        if self.gated is not None:
            down = self.in_block(f"{self.gated.down}.weight")
            self.mlp_dim = down[1] if down and len(down) == 2 else 0
        self.has_class_token = self.has(self.names.cls)
        self.distillation = int(self.has(self.names.distillation))
        """Tokens: 1 or 0."""
        registers = self.of(self.names.registers or "-")
        self.registers = registers[1] if registers and len(registers) == 3 else 0
        both = self.names.distilled
        self.has_two_classifiers = both is not None and all(map(self._classifier, both))
        first = both[0] if both is not None and self.has_two_classifiers else self.names.head
        classifier = self._classifier(first)
        self.classes = classifier[0] if classifier else 0
        pre_logits = self.of(f"{self.names.pre_logits}.weight")
        self.tanh = pre_logits[0] if pre_logits else None
        self.linear = None
        name = self.names.projection
        if name is not None:
            turned = self.names.projection_turned
            projection = shapes.get(self.base + name if turned else name)
            if projection and len(projection) == 2:
                self.linear = projection[1] if turned else projection[0]

    def _gated(self) -> GatedNames | None:
        """How SwiGLU is stored; None of plain MLPs."""
        for gated in self.names.gated:
            up = self.in_block(f"{gated.up}.weight")
            down = self.in_block(f"{gated.down}.weight")
            if up is None or down is None or len(up) != 2 or len(down) != 2:
                continue
            if gated.gate is not None:
                is_gated = self.has_in_block(f"{gated.gate}.weight")
            else:  # names of their own, or those of a plain MLP with twice its rows
                is_gated = gated.up != self.names.up or up[0] == 2 * down[1]
            if is_gated:
                return gated
        return None

    def _classifier(self, name: str | None) -> Shape | None:
        base = "" if self.names.head_outside else self.base
        shape = self.shapes.get(f"{base}{name}.weight")
        return shape if shape is not None and len(shape) == 2 else None

    def of(self, name: str) -> Shape | None:
        return self.shapes.get(self.base + name)

    def in_block(self, name: str) -> Shape | None:
        return self.of(self.names.block.format(0) + name)

    def has(self, name: str | None) -> bool:
        return name is not None and self.base + name in self.shapes

    def has_in_block(self, name: str | None) -> bool:
        return name is not None and self.in_block(name) is not None

    @property
    def has_qkv_bias(self) -> bool:
        if self.names.fused is not None:
            return self.has_in_block(f"{self.names.fused}{self.names.fused_join}bias")
        assert self.names.separate is not None
        return self.has_in_block(f"{self.names.separate[0]}.bias")


class _Taken:
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

    def heads(self, shape: _Shape) -> int:
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

    def gelu(self, shape: _Shape) -> Gelu:
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


def _config(shape: _Shape, taken: _Taken, about: Described, grid: tuple[int, int]) -> ModelConfig:
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
        resolution=_resolution(shape, about, grid),
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


def _pooling(shape: _Shape, taken: _Taken, about: Described) -> _Pooling:
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


def _grid(shape: _Shape, about: Described, said: Said) -> tuple[tuple[int, int], int]:
    """(rows, columns) of the position embeddings, and how many rows are not of patches."""
    position = shape.of(shape.names.position)
    if position is None:
        raise InputError(
            f"the weights do not match the model: missing {shape.base}{shape.names.position}; "
            "position embeddings are learned in this layout"
        )
    rows = position[-2] if len(position) > 1 else 0
    cls = int(shape.has_class_token) + shape.distillation
    extras = sorted({cls + shape.registers, cls, 0}, reverse=True)
    wanted = said.grid
    if wanted is None and about.image is not None:
        height, width = (side // shape.patch for side in about.image)
        wanted = (height, width) if rows - height * width in extras else None
    for extra in extras:
        if wanted is not None and wanted[0] * wanted[1] == rows - extra:
            return wanted, extra
        side = math.isqrt(max(0, rows - extra))
        if wanted is None and side > 0 and side * side == rows - extra:
            return (side, side), extra
    if wanted is not None:
        raise UsageError(
            f"--grid {wanted[0]}x{wanted[1]} has {wanted[0] * wanted[1]} patches, and there are "
            f"{rows} position embeddings"
        )
    raise UsageError(
        f"{rows} position embeddings are of no square grid of patches",
        hint="say which: --grid ROWSxCOLUMNS",
    )


def _resolution(shape: _Shape, about: Described, grid: tuple[int, int]) -> int:
    """The side of the image: what the files say if it has this grid, else what the patches fill."""
    if about.image is not None and about.image[0] == about.image[1]:
        side = about.image[0] // shape.patch
        if (side, side) == grid:
            return about.image[0]
    return round(math.sqrt(grid[0] * grid[1])) * shape.patch


def _list(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
