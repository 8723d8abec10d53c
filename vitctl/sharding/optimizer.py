"""Which axes of the optimizer's state are divided: it follows the parameters'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from vitctl.model.roles import STACKED
from vitctl.sharding.rules import Axes

_FACTORED = {"v_row": -1, "v_col": -2}
"""optax's names, and which axis they are summed over, in the order of sizes: v_row the largest,
v_col the second largest (https://github.com/google-deepmind/optax `factorized.py`)."""


def axes_of_state(
    opt: Any, *, axes: Mapping[str, Axes], shapes: Mapping[str, tuple[int, ...]]
) -> Any:
    """A tree like `opt` (arrays or shapes) with the axes of each leaf.

    Args:
      opt: a `PerLayerState`, whose inner states hold trees like the parameters.
      axes: of each parameter, by name.
      shapes: of each parameter, by name.

    Raises:
      ValueError: a leaf that is large is like no parameter; it needs a decision.
    """
    paths, tree = jax.tree_util.tree_flatten_with_path(opt)
    return jax.tree.unflatten(tree, [_axes(path, leaf, axes, shapes) for path, leaf in paths])


def _axes(
    path: tuple[Any, ...],
    leaf: Any,
    axes: Mapping[str, Axes],
    shapes: Mapping[str, tuple[int, ...]],
) -> Axes:
    fields = [k.name for k in path if isinstance(k, jax.tree_util.GetAttrKey)]
    name = "/".join(_trailing_keys(path))
    stacked = fields[0] == "layers"
    if stacked and name:
        name = f"{STACKED}/{name}"
    if name in shapes:
        shape, own = shapes[name], axes[name]
        if leaf.shape == shape:
            return own
        layer = int(stacked)
        if fields[-1] in _FACTORED and own and len(shape) - layer > 1:
            order = np.argsort(shape[layer:])
            dropped = int(order[_FACTORED[fields[-1]]]) + layer
            if leaf.shape == shape[:dropped] + shape[dropped + 1 :]:
                return own[:dropped] + own[dropped + 1 :]
    # Counters, optax's placeholders of shape [1], and statistics of vectors.
    if leaf.ndim > 1 + stacked:
        raise ValueError(f"no sharding is known for {jax.tree_util.keystr(path)} {leaf.shape}")
    return ()


def _trailing_keys(path: tuple[Any, ...]) -> list[str]:
    """The keys below the last field: those of the parameter. Above it optax may have its own, such
    as the labels of `optax.partition`."""
    keys: list[str] = []
    for entry in reversed(path):
        if not isinstance(entry, jax.tree_util.DictKey):
            break
        keys.insert(0, entry.key)
    return keys
