"""Tensors of another codebase matched with ours, by name and shape, both ways.

A `TensorGroup` is the smallest set of tensors that mean the same on both sides: one to one mostly,
three of ours to one of theirs where query, key and value are fused. Nothing is guessed: a name or a
shape without its counterpart is an error that lists both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitctl.errors import InputError
from vitctl.model.roles import STACKED

Array = NDArray[Any]
Params = dict[str, Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class TensorGroup:
    """Tensors that mean the same on both sides.

    Attributes:
      theirs: name -> shape.
      ours: names, without the layer axis.
      layer: of ours, where they are stacked.
      read: arrays of `theirs`, in order -> arrays of `ours`.
      write: arrays of `ours` -> arrays of `theirs`.
    """

    theirs: Mapping[str, Shape]
    ours: tuple[str, ...]
    read: Callable[[Sequence[Array]], Sequence[Array]]
    write: Callable[[Sequence[Array]], Sequence[Array]]
    layer: int | None = None


def filled(
    groups: Iterable[TensorGroup],
    *,
    shapes: Mapping[str, Shape],
    read: Callable[[str], Array],
) -> Params:
    """Our parameters, fp32, from all the tensors of `shapes`; `read` gives one.

    Raises:
      InputError: a tensor is missing, left over, of another shape, of no number type, or holds NaN
        or infinity.
    """
    groups = list(groups)
    expected = {name: shape for group in groups for name, shape in group.theirs.items()}
    check(expected, actual=shapes)
    flat: dict[str, Array] = {}
    layers: dict[str, dict[int, Array]] = {}
    for group in groups:
        arrays = [numbers(name, read(name)) for name in group.theirs]
        for name, array in zip(group.ours, group.read(arrays), strict=True):
            if group.layer is None:
                flat[name] = array
            else:
                layers.setdefault(name, {})[group.layer] = array
    for name, by_layer in layers.items():
        flat[name] = np.stack([by_layer[layer] for layer in range(len(by_layer))])
    return nested(flat)


def written(groups: Iterable[TensorGroup], params: Params) -> dict[str, Array]:
    """Our parameters as their tensors. KeyError where a group needs one that is not there."""
    flat = flattened(params)
    tensors: dict[str, Array] = {}
    for group in groups:
        arrays = [flat[n] if group.layer is None else flat[n][group.layer] for n in group.ours]
        made = group.write([np.asarray(array, np.float32) for array in arrays])
        for (name, shape), array in zip(group.theirs.items(), made, strict=True):
            tensors[name] = np.ascontiguousarray(array).reshape(shape)
    return tensors


def check(expected: Mapping[str, Shape], *, actual: Mapping[str, Shape]) -> None:
    """Raise InputError unless both have the same names with the same shapes."""
    missing = sorted(expected.keys() - actual.keys())
    extra = sorted(actual.keys() - expected.keys())
    if missing or extra:
        raise InputError(
            "the weights do not match the model: "
            f"missing {_some(missing)}; not expected {_some(extra)}.",
            hint="check the model's size, head and pre_logits.",
        )
    wrong = [
        f"{name}: expected {list(shape)}, got {list(actual[name])}{_turned(shape, actual[name])}"
        for name, shape in expected.items()
        if tuple(actual[name]) != tuple(shape)
    ]
    if wrong:
        raise InputError(
            f"the weights do not have the model's shapes: {_some(wrong)}.",
            hint="check the model's width, patch, resolution and number of classes.",
        )


def _turned(expected: Shape, actual: Shape) -> str:
    is_turned = len(expected) > 1 and tuple(reversed(expected)) == tuple(actual)
    return " (transposed?)" if is_turned else ""


def numbers(name: str, array: Array) -> Array:
    """A tensor as fp32. Raises InputError if it is no array of finite floats."""
    if array.dtype.kind not in "fV" or array.dtype == np.dtype("V2"):
        raise InputError(f"the tensor {name} is of {array.dtype}, where weights are floats")
    converted = array.astype(np.float32)
    if not np.isfinite(converted).all():
        raise InputError(
            f"the tensor {name} has {np.count_nonzero(~np.isfinite(converted)):,} values that are "
            "not finite (NaN, infinity, or too large for fp32)",
            hint="the file was damaged or saved after a divergence",
        )
    return converted


def _some(names: list[str], *, count: int = 5) -> str:
    if not names:
        return "nothing"
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


def flattened(params: Params, *, prefix: str = "") -> dict[str, Any]:
    """A tree as `a/b/c` -> leaf."""
    flat: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, dict):
            flat |= flattened(value, prefix=f"{prefix}{name}/")
        else:
            flat[prefix + name] = value
    return flat


def nested(flat: Mapping[str, Array]) -> Params:
    """The reverse of `flattened`."""
    tree: Params = {}
    for name, array in flat.items():
        *parents, last = name.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = array
    return tree


def in_blocks(name: str) -> str:
    """Our name of a part of a block."""
    return f"{STACKED}/{name}"
