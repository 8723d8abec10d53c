"""What `optim.freeze` leaves to train, and what training costs then.

Weights that are held constant have no gradient, and the backward pass ends where nothing below is
trained. Blocks are one scan over their layers: a parameter that is trained in one of them has a
gradient in all, and all blocks are passed backward. The optimizer keeps its state for all
parameters; that of frozen ones stays at its beginning.
"""

from __future__ import annotations

import math
from functools import cache

from vitctl.model import accounting
from vitctl.model.config import ModelConfig
from vitctl.optim.config import OptimConfig


def trained_flops(model: ModelConfig, optim: OptimConfig) -> int:
    """FLOPs that training on one image costs, as `accounting.trained_flops` counts."""
    return accounting.trained_flops(model, trained=trained_names(model, optim))


def trained_names(model: ModelConfig, optim: OptimConfig) -> frozenset[str] | None:
    """The parameters that have a gradient, by name; None for all: nothing is frozen.

    Raises ValueError as `rates.shares`.
    """
    if not optim.freeze:
        return None
    return frozenset(name for name, count in _trained(model, optim).items() if count)


def trained_parameters(model: ModelConfig, optim: OptimConfig) -> int:
    """How many numbers are trained, without those of frozen layers."""
    if not optim.freeze:
        return accounting.parameters(model).total
    return sum(_trained(model, optim).values())


@cache
def _trained(model: ModelConfig, optim: OptimConfig) -> dict[str, int]:
    """Name -> how many of its numbers are trained."""
    import jax

    from vitctl.model import shapes
    from vitctl.optim import rates
    from vitctl.optim.optimizer import names

    params = shapes.of_params(model)
    sizes = dict(zip(names(params), (p.shape for p in jax.tree.leaves(params)), strict=True))
    return {
        name: math.prod(sizes[name]) * int((share > 0).sum()) // share.size
        for name, share in rates.shares(sizes, config=optim).items()
    }
