"""The share of the learning rate that each parameter takes: less with depth, none where frozen.

    before the blocks  d^(L + 1)     embedding, positions, [class] token, registers
    block l = 0 ...    d^(L - l)     of L
    after the blocks   1             last norm, attention pooling, classifier

with d = `optim.layer_decay`, as MAE counts depths (`util/lr_decay.py` of
https://arxiv.org/abs/2111.06377; the idea: https://arxiv.org/abs/2003.10555, table 6). Weight decay
is a part of the step, so it takes the same share. Without `layer_decay` every share is 1.

A parameter whose whole name matches one of the regular expressions in `optim.freeze` has share 0:
it is no part of what is trained (`vitctl.model.part`). Blocks are named by their number:
`blocks/0/mlp/up/kernel`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, assert_never

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.typing import NDArray

from vitctl.model.part import Layers
from vitctl.model.roles import STACKED, RoleTable, is_stacked, role
from vitctl.optim.config import OptimConfig

Depth = Literal["before", "block", "after"]

DEPTHS: RoleTable[Depth] = RoleTable(
    "depth",
    (
        (r"(embedding|stem_norm)/.*|position|cls|registers", "before"),
        (r"(norm|map_head|pre_logits|head)/.*", "after"),
        (r"(attention|mlp).*", "block"),
    ),
)

Shares = dict[str, NDArray[np.float64]]
"""Name -> float64[] its share, or float64[L] of stacked layers."""


def shares(shapes: Mapping[str, tuple[int, ...]], *, config: OptimConfig) -> Shares:
    """The share of each parameter, by its name; `shapes` are those of the parameters.

    Raises:
      ValueError: a pattern of `config.freeze` matches no parameter, or all are frozen.
    """
    layers = max((shape[0] for name, shape in shapes.items() if is_stacked(name)), default=0)
    if config.layer_decay is None:
        by_name = {name: np.ones(layers if is_stacked(name) else ()) for name in shapes}
    else:
        by_name = {
            name: _by_depth(depth, decay=config.layer_decay, layers=layers)
            for name, depth in DEPTHS.of(shapes).items()
        }
    _freeze(by_name, config.freeze, layers=layers)
    return by_name


def trained_layers(shares: Shares) -> Layers:
    """The parameters that have a share, and of stacked ones the layers that have."""
    return {
        name: tuple(np.flatnonzero(share).tolist()) if is_stacked(name) else ()
        for name, share in shares.items()
        if share.any()
    }


def scaled(rate: Array, share: NDArray[np.float64], *, ndim: int) -> Array:
    """The rate of a parameter of so many axes: a scalar, or one a layer."""
    if (share == 1.0).all():
        return rate
    return rate * jnp.asarray(_along(share.astype(np.float32), ndim))


def _along(x: NDArray[Any], ndim: int) -> NDArray[Any]:
    """A value a layer, beside an array whose first axis are layers."""
    return x.reshape(x.shape + (1,) * (ndim - x.ndim)) if x.ndim else x


def _by_depth(depth: Depth, *, decay: float, layers: int) -> NDArray[np.float64]:
    match depth:
        case "before":
            return np.asarray(decay ** (layers + 1))
        case "block":
            return decay ** np.arange(layers, 0, -1, dtype=np.float64)
        case "after":
            return np.asarray(1.0)
        case _:
            assert_never(depth)


def _freeze(by_name: Shares, patterns: tuple[str, ...], *, layers: int) -> None:
    """Set the shares of frozen parameters to 0, in place."""
    matched: set[str] = set()

    def is_frozen(name: str) -> bool:
        hits = [pattern for pattern in patterns if re.fullmatch(pattern, name)]
        matched.update(hits)
        return bool(hits)

    for name, share in by_name.items():
        if is_stacked(name):
            names = [f"{STACKED}/{layer}/{role(name)}" for layer in range(layers)]
            frozen = np.array([is_frozen(of_layer) for of_layer in names], bool)
        else:
            frozen = np.asarray(is_frozen(name))
        by_name[name] = np.where(frozen, 0.0, share)
    if missing := [pattern for pattern in patterns if pattern not in matched]:
        raise ValueError(
            f"optim.freeze: no parameter is called {missing[0]}; names are such as "
            f"embedding/kernel, {STACKED}/0/mlp/up/kernel and head/bias"
        )
    if not any(share.any() for share in by_name.values()):
        raise ValueError("optim.freeze: every parameter is frozen, so nothing would be trained")
