"""The optimizer's state of other trained parameters, for those that are trained now.

A state of before constant parameters had none, or of a run that held others constant, has the
arrays of what is trained by both; what else is trained now begins with a new state.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax

from vitctl.model import part as parts
from vitctl.model.accounting import Layers
from vitctl.model.roles import STACKED
from vitctl.optim.per_layer import PerLayerState, groups_of


def of_all(state: PerLayerState, *, layers: Layers | None, new: PerLayerState) -> PerLayerState:
    """`state`, of the parameters in `layers`, as the state of all; what it lacks is from `new`, a
    state of all."""
    if layers is None:
        return state
    stacked = new.layers
    for rows, group in _groups(state, layers):
        by_path = _by_path(group)
        stacked = jax.tree_util.tree_map_with_path(
            lambda path, x, rows=rows, by_path=by_path: (
                parts.with_rows(x, rows, by_path[path]) if path in by_path else x
            ),
            stacked,
        )
    by_path = _by_path(state.rest)
    rest = jax.tree_util.tree_map_with_path(lambda path, x: by_path.get(path, x), new.rest)
    return PerLayerState(layers=stacked, rest=rest)


def of_part(state: PerLayerState, *, layers: Layers | None, like: PerLayerState) -> PerLayerState:
    """What `state`, one of all parameters, has of those in `layers`; `like` has the structure."""
    if layers is None:
        return state
    by_path = _by_path(state.layers)
    stacked = {
        name: jax.tree_util.tree_map_with_path(
            lambda path, x, rows=rows: parts.rows_of(by_path[path], rows), like.layers[name]
        )
        for name, rows in groups_of(layers, stacked=STACKED).items()
    }
    by_path_of_rest = _by_path(state.rest)
    rest = jax.tree_util.tree_map_with_path(lambda path, x: by_path_of_rest[path], like.rest)
    return PerLayerState(layers=stacked, rest=rest)


def _groups(state: PerLayerState, layers: Layers) -> Iterator[tuple[tuple[int, ...], Any]]:
    for name, rows in groups_of(layers, stacked=STACKED).items():
        yield rows, state.layers[name]


def _by_path(tree: Any) -> dict[Any, Any]:
    return dict(jax.tree_util.tree_flatten_with_path(tree)[0])
