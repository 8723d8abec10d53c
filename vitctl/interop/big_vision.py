"""Parameters under big_vision's names (https://github.com/google-research/big_vision), both ways.

Shapes are the same on both sides but for the blocks, which are separate arrays there
(`Transformer/encoderblock_0/...`) and stacked here. Nothing is guessed: a name or a shape without
its counterpart is an error that lists both sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from vitctl.interop.head_names import names_of
from vitctl.interop.matching import check, flattened, nested, numbers
from vitctl.model import vit
from vitctl.model.config import LATER, ModelConfig
from vitctl.model.roles import RoleTable, is_stacked

Params = dict[str, Any]

_OUTSIDE: RoleTable[str] = RoleTable(
    "big_vision name",
    (
        (r"(embedding|pre_logits|head)/(.*)", r"\1/\2"),
        (r"position", r"pos_embedding"),
        (r"cls", r"cls"),
        (r"norm/(.*)", r"Transformer/encoder_norm/\1"),
        (r"map_head/probe", r"MAPHead_0/probe"),
        (r"map_head/attention/(.*)", r"MAPHead_0/MultiHeadDotProductAttention_0/\1"),
        (r"map_head/norm/(.*)", r"MAPHead_0/LayerNorm_0/\1"),
        (r"map_head/mlp/up/(.*)", r"MAPHead_0/MlpBlock_0/Dense_0/\1"),
        (r"map_head/mlp/down/(.*)", r"MAPHead_0/MlpBlock_0/Dense_1/\1"),
    ),
)
_IN_BLOCKS: RoleTable[str] = RoleTable(
    "big_vision name",
    (
        (r"attention_norm/(.*)", r"LayerNorm_0/\1"),
        (r"attention/(.*)", r"MultiHeadDotProductAttention_0/\1"),
        (r"mlp_norm/(.*)", r"LayerNorm_1/\1"),
        (r"mlp/up/(.*)", r"MlpBlock_0/Dense_0/\1"),
        (r"mlp/down/(.*)", r"MlpBlock_0/Dense_1/\1"),
    ),
)
"""Templates of their names, filled from the match of ours."""


def from_big_vision(named: Mapping[str, np.ndarray], *, config: ModelConfig) -> Params:
    """Our parameter tree of `config`, filled from arrays under big_vision's names.

    Raises:
      InputError: a tensor is missing, left over, or of another shape than `config` needs.
    """
    shapes = jax.eval_shape(lambda: vit.init(config, key=jax.random.key(0)))
    expected = {name: shape for name, shape, _, _ in _correspondence(shapes)}
    check(expected, actual={name: tuple(array.shape) for name, array in named.items()})
    flat: dict[str, np.ndarray] = {}
    layers: dict[str, list[np.ndarray]] = {}
    for name, _, ours, layer in _correspondence(shapes):
        array = numbers(name, np.asarray(named[name]))
        if layer is None:
            flat[ours] = array
        else:
            layers.setdefault(ours, []).append(array)
    flat |= {ours: np.stack(arrays) for ours, arrays in layers.items()}
    return nested(flat)


def lacks(config: ModelConfig) -> list[str]:
    """What of a model makes it another one than big_vision's can be: its head, or fields."""
    usual = ("position", "position_grid", "head_bias")
    set_fields = [name for name in LATER if name not in usual]
    fields = [
        name
        for name in set_fields
        if getattr(config, name) != ModelConfig.model_fields[name].default
    ]
    head = [f"head={config.head}"] if names_of(config.head).big_vision is None else []
    return head + fields


def to_big_vision(params: Params) -> dict[str, np.ndarray]:
    """Our parameters as arrays under big_vision's names, blocks apart. ValueError for parts that
    its model has not, see `lacks`."""
    flat = flattened(params)
    return {
        name: np.asarray(flat[ours] if layer is None else flat[ours][layer])
        for name, _, ours, layer in _correspondence(params)
    }


def _correspondence(
    params: Params,
) -> Iterator[tuple[str, tuple[int, ...], str, int | None]]:
    """(their name, shape, our name, layer) of every tensor they know; layers in order."""
    flat = flattened(params)
    stacked = [name for name in flat if is_stacked(name)]
    theirs = _IN_BLOCKS.matches(stacked) | _OUTSIDE.matches(n for n in flat if not is_stacked(n))
    for ours, (match, template) in theirs.items():
        leaf, name = flat[ours], match.expand(template)
        if is_stacked(ours):
            for layer in range(leaf.shape[0]):
                inside = f"Transformer/encoderblock_{layer}/{name}"
                yield inside, tuple(leaf.shape[1:]), ours, layer
        else:
            yield name, tuple(leaf.shape), ours, None
