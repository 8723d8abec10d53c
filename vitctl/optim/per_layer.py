"""Treat stacked layers as the separate parameters they are.

Arrays under `blocks` have a leading layer axis. A transformation that depends on shapes must not
see it: with 32 layers or more, optax's factored second moments would factor a stack of biases over
the layer axis, and share statistics among layers that have nothing in common.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import optax


class PerLayerState(NamedTuple):
    """The inner state of the stacked subtree (each array with a layer axis), and of the rest."""

    layers: Any
    rest: Any


def per_layer(inner: optax.GradientTransformation, *, stacked: str) -> optax.GradientTransformation:
    """`inner`, vmapped over the layer axis of the top-level subtree `stacked`, plain elsewhere.

    Transformations that mix parameters, such as clipping by the global norm, belong outside.
    """

    def init(params: Any) -> PerLayerState:
        layers, rest = _split(params, stacked=stacked)
        return PerLayerState(layers=jax.vmap(inner.init)(layers), rest=inner.init(rest))

    def update(updates: Any, state: PerLayerState, params: Any = None) -> tuple[Any, PerLayerState]:
        layers, rest = _split(updates, stacked=stacked)
        layer_params, rest_params = _split(params, stacked=stacked)
        layers, layers_state = jax.vmap(inner.update)(layers, state.layers, layer_params)
        rest, rest_state = inner.update(rest, state.rest, rest_params)
        return rest | {stacked: layers}, PerLayerState(layers=layers_state, rest=rest_state)

    return optax.GradientTransformation(init, update)


def _split(tree: Any, *, stacked: str) -> tuple[Any, Any]:
    if tree is None:
        return None, None
    return tree[stacked], {name: sub for name, sub in tree.items() if name != stacked}
