"""`.npz` files of big_vision and vision_transformer as arrays under today's big_vision names.

They differ by age and by codebase; here all become what `vitctl.interop.big_vision` knows:

- under `params/` or `opt/target/`, an image tower under `img/`, or bare;
- position embeddings under `Transformer/`, with a row for the [class] token, which is added to it;
- blocks named by what they hold (`MlpBlock_3`, `LayerNorm_2`), stacked (`encoderblock/`), or not;
- a MAP head at the root.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitctl.errors import InputError, UsageError
from vitctl.interop import big_vision, matching
from vitctl.interop.npz import PREFIXES
from vitctl.interop.weight_files import Weights
from vitctl.model.config import ModelConfig

Named = dict[str, NDArray[Any]]

_POSITION = "pos_embedding"
_STACKED = "Transformer/encoderblock/"
_RENAMED = (
    (r"Transformer/(?:posembed_input/)?pos_embedding", _POSITION),
    (r"(Transformer/encoderblock_?\d*/)LayerNorm_2/(.*)", r"\1LayerNorm_1/\2"),
    (r"(Transformer/encoderblock_?\d*/)MlpBlock_3/(.*)", r"\1MlpBlock_0/\2"),
    (
        r"(Transformer/encoderblock_?\d*/)MultiHeadDotProductAttention_1/(.*)",
        r"\1MultiHeadDotProductAttention_0/\2",
    ),
    (r"(probe|(?:MlpBlock|MultiHeadDotProductAttention|LayerNorm)_0/.*)", r"MAPHead_0/\1"),
)
_MLP = "Transformer/encoderblock_0/MlpBlock_0/Dense_0/kernel"
_QUERY = "Transformer/encoderblock_0/MultiHeadDotProductAttention_0/query/kernel"
_EMBEDDING = "embedding/kernel"


def load(weights: Weights) -> Named:
    """The image model's arrays under today's names, blocks apart, position embeddings of patches
    alone. Raises InputError."""
    prefix = next((p for p in PREFIXES if any(n.startswith(p) for n in weights.shapes)), "")
    if any(name.startswith(f"{prefix}img/") for name in weights.shapes):
        prefix += "img/"
    named: Named = {}
    for full in weights.shapes:
        if not full.startswith(prefix):
            continue
        array = weights.read(full)
        name = _renamed(full.removeprefix(prefix))
        if name.startswith(_STACKED):
            inside = name.removeprefix(_STACKED)
            for layer in range(array.shape[0] if array.ndim else 0):
                named[f"Transformer/encoderblock_{layer}/{inside}"] = array[layer]
        else:
            named[name] = array
    missing = [name for name in (_EMBEDDING, _MLP, _QUERY) if name not in named]
    if missing:
        raise InputError(
            f"{weights.name} is no vision transformer of big_vision: missing {missing[0]}; its "
            f"{len(weights.shapes)} arrays begin with {', '.join(sorted(weights.shapes)[:3])}"
        )
    return _merged(named)


def _renamed(name: str) -> str:
    for pattern, template in _RENAMED:
        if match := re.fullmatch(pattern, name):
            return match.expand(template)
    return name


def _merged(named: Named) -> Named:
    """Today's model adds positions before the [class] token comes, the first one after: the row of
    the token is part of it."""
    position = named.get(_POSITION)
    if position is None or "cls" not in named or position.ndim != 3:
        return named
    if math.isqrt(position.shape[1] - 1) ** 2 == position.shape[1] - 1:
        row = position[:, :1].astype(np.float32)
        named["cls"] = named["cls"].astype(np.float32) + row
        named[_POSITION] = position[:, 1:]
    return named


def config_of(named: Named, *, title: str) -> tuple[ModelConfig, tuple[int, int]]:
    """The model that the arrays are of, and (rows, columns) of its position embeddings."""
    kernel, query = named[_EMBEDDING], named[_QUERY]
    if kernel.ndim != 4 or kernel.shape[0] != kernel.shape[1] or query.ndim != 3:
        raise InputError(f"{title}: {_EMBEDDING} is {list(kernel.shape)}, not [p, p, 3, d]")
    patch, width, heads = kernel.shape[0], kernel.shape[3], query.shape[1]
    layers = [re.match(r"Transformer/encoderblock_(\d+)/", name) for name in named]
    depth = max(int(match[1]) for match in layers if match) + 1
    position = named.get(_POSITION)
    if position is None:
        raise UsageError(
            f"{title} has no position embeddings: they are fixed ones, of an unknown size of image",
            hint="such models are not imported yet; those with learned ones are",
        )
    rows = position.shape[1] if position.ndim == 3 else 0
    side = math.isqrt(rows)
    if side * side != rows or not side:
        raise InputError(f"{title}: {rows} position embeddings are of no square grid of patches")
    head, pre = named.get("head/kernel"), named.get("pre_logits/kernel")
    config = ModelConfig(
        width=width,
        depth=depth,
        mlp_dim=named[_MLP].shape[-1],
        heads=heads,
        patch=patch,
        resolution=side * patch,
        classes=0 if head is None else head.shape[-1],
        head="map" if "MAPHead_0/probe" in named else "token" if "cls" in named else "gap",
        pre_logits=None if pre is None else pre.shape[-1],
    )
    return config, (side, side)


def params_of(named: Named, *, config: ModelConfig) -> matching.Params:
    """Our parameters, every array matched. Raises InputError."""
    return big_vision.from_big_vision(named, config=config)
