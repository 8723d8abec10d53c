"""The part of the parameters that is trained, where the others are held constant.

Of stacked arrays (`blocks/...`) some layers may be trained and others not. A part is a tree like
the parameters without the names that are constant, and with the trained layers alone of the others:
what is differentiated and updated, and what an optimizer keeps its state for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from vitctl.model.accounting import Layers, lowest_block
from vitctl.model.roles import STACKED, is_stacked


@dataclass(frozen=True)
class Part:
    """Trained parameters beside the whole tree: `params` as `take` gives them."""

    params: Any
    layers: Layers


@dataclass(frozen=True)
class BlockRange:
    """Neighbouring blocks, `first` to before `end`, in which the same parameters are trained.

    `names`: of those, without the prefix of the stack. `passed`: whether the backward pass goes
    through them, as something in them or below them is trained.
    """

    first: int
    end: int
    names: frozenset[str]
    passed: bool


def take(params: Any, layers: Layers) -> Any:
    """The part of `params` that is trained."""

    def taken(name: str, x: Any) -> Any:
        if name not in layers:
            return None
        rows = layers[name]
        if not is_stacked(name) or len(rows) == x.shape[0]:
            return x
        return rows_of(x, rows)

    return _mapped(taken, params)


def put(params: Any, part: Any, layers: Layers) -> Any:
    """`params` with its trained part replaced by `part`."""
    flat = _flat(part)

    def replaced(name: str, x: Any) -> Any:
        if name not in flat:
            return x
        rows = layers[name]
        if not is_stacked(name) or len(rows) == x.shape[0]:
            return flat[name]
        return with_rows(x, rows, flat[name])

    return _mapped(replaced, params)


def without_blocks(params: Any, part: Any) -> Any:
    """`params` with the trained arrays outside the blocks replaced by those of `part`."""
    flat = _flat(part)
    return _mapped(lambda name, x: x if is_stacked(name) else flat.get(name, x), params)


def segments(layers: Layers, *, depth: int) -> list[BlockRange]:
    """The blocks from the first to the last, in as few segments as there can be."""
    stacked = {name: frozenset(rows) for name, rows in layers.items() if is_stacked(name)}
    of_block = [
        frozenset(name.removeprefix(f"{STACKED}/") for name, rows in stacked.items() if k in rows)
        for k in range(depth)
    ]
    lowest = lowest_block(layers, depth=depth)
    bounds = [0, *(k for k in range(1, depth) if _differ(k, of_block, lowest)), depth]
    return [
        BlockRange(first, end, of_block[first], passed=first >= lowest)
        for first, end in pairwise(bounds)
    ]


def of_segment(part: Part, blocks: Any, segment: BlockRange) -> Any:
    """The stacked parameters of a segment's blocks: the trained ones from the part, the others
    from `blocks`, all layers of all parameters."""
    flat = _flat(part.params.get(STACKED, {}))

    def sliced(name: str, x: Array) -> Array:
        if name not in segment.names:
            return _rows(x, segment.first, segment.end)
        begin = part.layers[f"{STACKED}/{name}"].index(segment.first)
        return _rows(flat[name], begin, begin + segment.end - segment.first)

    return _mapped(sliced, blocks)


def names(tree: Any) -> list[str]:
    """The "/"-joined names of the leaves of nested dicts."""
    return list(_flat(tree))


def only(tree: Any, names: Collection[str]) -> Any:
    """Nested dicts without the leaves of other names."""
    return _mapped(lambda name, x: x if name in names else None, tree)


def merged(trees: Iterable[Any]) -> Any:
    """One tree of nested dicts that have no leaf in common."""
    whole: dict[str, Any] = {}
    for tree in trees:
        for key, sub in tree.items():
            whole[key] = merged([whole[key], sub]) if key in whole else sub
    return whole


def rows_of(x: Any, rows: tuple[int, ...]) -> Any:
    """Those layers of a stacked array."""
    index = _index(rows)
    return x[index] if isinstance(index, slice) else jnp.take(x, index, axis=0)


def with_rows(x: Array, rows: tuple[int, ...], new: Array) -> Array:
    """A stacked array with those layers replaced."""
    return x.at[_index(rows)].set(new)


def _differ(k: int, of_block: list[frozenset[str]], lowest: int) -> bool:
    return of_block[k] != of_block[k - 1] or k == lowest


def _rows(x: Array, begin: int, end: int) -> Array:
    return x if end - begin == x.shape[0] else x[begin:end]


def _index(rows: tuple[int, ...]) -> Any:
    """A slice where the layers are neighbours, which costs no gather."""
    if rows[-1] - rows[0] + 1 == len(rows):
        return slice(rows[0], rows[-1] + 1)
    return np.asarray(rows)


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Name -> leaf of nested dicts."""
    flat: dict[str, Any] = {}
    for key, sub in tree.items():
        name = f"{prefix}{key}"
        flat |= _flat(sub, f"{name}/") if isinstance(sub, Mapping) else {name: sub}
    return flat


def _mapped(function: Any, tree: Any, prefix: str = "") -> Any:
    """`function(name, leaf)` for every leaf of nested dicts; without those that it gives None for,
    and without what is empty then."""
    mapped = {}
    for key, sub in tree.items():
        name = f"{prefix}{key}"
        if isinstance(sub, Mapping):
            if below := _mapped(function, sub, f"{name}/"):
                mapped[key] = below
        elif (leaf := function(name, sub)) is not None:
            mapped[key] = leaf
    return mapped
