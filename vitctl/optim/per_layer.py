"""Treat stacked layers as the separate parameters they are.

Arrays under `blocks` have a leading layer axis. A transformation that depends on shapes must not
see it: with 32 layers or more, optax's factored second moments would factor a stack of biases over
the layer axis, and share statistics among layers that have nothing in common.

Where some layers are constant, arrays have only the layers that are trained, and not all the same
ones. Then those of the same layers are a group, each with a state of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import optax

from vitctl.model import part as parts
from vitctl.model.part import Layers

Groups = Mapping[str, tuple[int, ...]]
"""Name of a group, as in "6-11" -> its layers."""


class PerLayerState(NamedTuple):
    """The inner state of the stacked subtree (each array with a layer axis), and of the rest.

    Where some layers are constant, `layers` is a dict: name of a group -> its inner state.
    """

    layers: Any
    rest: Any


def per_layer(
    inner: optax.GradientTransformation, *, stacked: str, layers: Layers | None = None
) -> optax.GradientTransformation:
    """`inner`, vmapped over the layer axis of the top-level subtree `stacked`, plain elsewhere.

    Transformations that mix parameters, such as clipping by the global norm, belong outside.

    Args:
      layers: of each stacked array, by its whole name, which layers it has; None: all have all.
    """
    groups = None if layers is None else groups_of(layers, stacked=stacked)

    def grouped(tree: Any) -> dict[str, Any]:
        """Name of a group -> the arrays that are in it."""
        assert groups is not None
        assert layers is not None
        return {
            group: parts.only(
                tree, {name for name in parts.names(tree) if layers[f"{stacked}/{name}"] == rows}
            )
            for group, rows in groups.items()
        }

    def init(params: Any) -> PerLayerState:
        own, rest = _split(params, stacked=stacked)
        if groups is None:
            return PerLayerState(layers=jax.vmap(inner.init)(own), rest=inner.init(rest))
        by_group = {group: jax.vmap(inner.init)(tree) for group, tree in grouped(own).items()}
        return PerLayerState(layers=by_group, rest=inner.init(rest))

    def update(updates: Any, state: PerLayerState, params: Any = None) -> tuple[Any, PerLayerState]:
        own, rest = _split(updates, stacked=stacked)
        own_params, rest_params = _split(params, stacked=stacked)
        rest, rest_state = inner.update(rest, state.rest, rest_params)
        if groups is None:
            own, own_state = jax.vmap(inner.update)(own, state.layers, own_params)
            return rest | {stacked: own}, PerLayerState(layers=own_state, rest=rest_state)
        of_params = dict.fromkeys(groups) if own_params is None else grouped(own_params)
        states, trees = {}, []
        for group, tree in grouped(own).items():
            tree, states[group] = jax.vmap(inner.update)(
                tree, state.layers[group], of_params[group]
            )
            trees.append(tree)
        merged = {stacked: parts.merged(trees)} if trees else {}
        return rest | merged, PerLayerState(layers=states, rest=rest_state)

    return optax.GradientTransformation(init, update)


def groups_of(layers: Layers, *, stacked: str) -> Groups:
    """The groups of stacked arrays with the same layers."""
    rows = sorted({own for name, own in layers.items() if name.startswith(f"{stacked}/")})
    return {_name(own): own for own in rows}


def _name(rows: tuple[int, ...]) -> str:
    """Layers as ranges: (0, 1, 2, 5) is "0-2_5"."""
    begins = [row for row in rows if row - 1 not in rows]
    lasts = [row for row in rows if row + 1 not in rows]
    return "_".join(
        f"{begin}-{end}" if end > begin else f"{begin}"
        for begin, end in zip(begins, lasts, strict=True)
    )


def _split(tree: Any, *, stacked: str) -> tuple[Any, Any]:
    if tree is None:
        return None, None
    return tree.get(stacked, {}), {name: sub for name, sub in tree.items() if name != stacked}
