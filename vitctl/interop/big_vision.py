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

from vitctl.errors import InputError
from vitctl.model import vit
from vitctl.model.config import ModelConfig
from vitctl.model.names import STACKED

Params = dict[str, Any]

_PARTS = {
    "embedding": "embedding",
    "position": "pos_embedding",
    "cls": "cls",
    "norm": "Transformer/encoder_norm",
    "pre_logits": "pre_logits",
    "head": "head",
    "map_head/probe": "MAPHead_0/probe",
    "map_head/attention": "MAPHead_0/MultiHeadDotProductAttention_0",
    "map_head/norm": "MAPHead_0/LayerNorm_0",
    "map_head/mlp/up": "MAPHead_0/MlpBlock_0/Dense_0",
    "map_head/mlp/down": "MAPHead_0/MlpBlock_0/Dense_1",
}
_BLOCK_PARTS = {
    "attention_norm": "LayerNorm_0",
    "attention": "MultiHeadDotProductAttention_0",
    "mlp_norm": "LayerNorm_1",
    "mlp/up": "MlpBlock_0/Dense_0",
    "mlp/down": "MlpBlock_0/Dense_1",
}


def from_big_vision(named: Mapping[str, np.ndarray], *, config: ModelConfig) -> Params:
    """Our parameter tree of `config`, filled from arrays under big_vision's names.

    Raises:
      InputError: a tensor is missing, left over, or of another shape than `config` needs.
    """
    shapes = jax.eval_shape(lambda: vit.init(config, key=jax.random.key(0)))
    expected = {name: shape for name, shape, _, _ in _correspondence(shapes)}
    _check(expected, found={name: tuple(array.shape) for name, array in named.items()})
    flat: dict[str, np.ndarray] = {}
    layers: dict[str, list[np.ndarray]] = {}
    for name, _, ours, layer in _correspondence(shapes):
        array = np.asarray(named[name], np.float32)
        if layer is None:
            flat[ours] = array
        else:
            layers.setdefault(ours, []).append(array)
    flat |= {ours: np.stack(arrays) for ours, arrays in layers.items()}
    return _nest(flat)


def to_big_vision(params: Params) -> dict[str, np.ndarray]:
    """Our parameters as arrays under big_vision's names, blocks apart."""
    flat = _flatten(params)
    return {
        name: np.asarray(flat[ours] if layer is None else flat[ours][layer])
        for name, _, ours, layer in _correspondence(params)
    }


def _correspondence(
    params: Params,
) -> Iterator[tuple[str, tuple[int, ...], str, int | None]]:
    """(their name, shape, our name, layer) of every tensor they know; layers in order."""
    for ours, leaf in _flatten(params).items():
        if ours.startswith(f"{STACKED}/"):
            inside = _rename(ours.removeprefix(f"{STACKED}/"), parts=_BLOCK_PARTS)
            for layer in range(leaf.shape[0]):
                name = f"Transformer/encoderblock_{layer}/{inside}"
                yield name, tuple(leaf.shape[1:]), ours, layer
        else:
            yield _rename(ours, parts=_PARTS), tuple(leaf.shape), ours, None


def _rename(ours: str, *, parts: Mapping[str, str]) -> str:
    for prefix, theirs in parts.items():
        if ours == prefix or ours.startswith(f"{prefix}/"):
            return theirs + ours.removeprefix(prefix)
    raise ValueError(f"no big_vision name is known for {ours!r}")


def _check(
    expected: Mapping[str, tuple[int, ...]], *, found: Mapping[str, tuple[int, ...]]
) -> None:
    missing = sorted(expected.keys() - found.keys())
    extra = sorted(found.keys() - expected.keys())
    if missing or extra:
        raise InputError(
            "the weights do not match the model: "
            f"missing {_some(missing)}; not expected {_some(extra)}.",
            hint="check the model's size, head and pre_logits.",
        )
    wrong = [
        f"{name}: expected {list(shape)}, got {list(found[name])}"
        for name, shape in expected.items()
        if found[name] != shape
    ]
    if wrong:
        raise InputError(
            f"the weights do not have the model's shapes: {_some(wrong)}.",
            hint="check the model's width, patch, resolution and number of classes.",
        )


def _some(names: list[str], *, count: int = 5) -> str:
    if not names:
        return "nothing"
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


def _flatten(params: Params) -> dict[str, Any]:
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    return {"/".join(k.key for k in path): leaf for path, leaf in leaves}


def _nest(flat: Mapping[str, np.ndarray]) -> Params:
    tree: Params = {}
    for name, array in flat.items():
        *parents, last = name.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = array
    return tree
