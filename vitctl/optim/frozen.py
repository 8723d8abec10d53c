"""What `optim.freeze` leaves to train, and what training costs then.

Weights that are held constant have no gradient and no state of the optimizer, and the backward pass
ends at the lowest block in which, or before which, something is trained.
"""

from __future__ import annotations

import math
from functools import cache

from vitctl.model import accounting
from vitctl.model.accounting import Layers
from vitctl.model.config import ModelConfig
from vitctl.optim.config import OptimConfig


def trained_flops(model: ModelConfig, optim: OptimConfig) -> int:
    """FLOPs that training on one image costs, as `accounting.trained_flops` counts."""
    return accounting.trained_flops(model, trained=trained_layers(model, optim))


def trained_layers(model: ModelConfig, optim: OptimConfig) -> Layers | None:
    """The parameters that are trained, and which layers of each; None for all: nothing is frozen.

    Raises ValueError as `rates.shares`.
    """
    return _trained(model, optim) if optim.freeze else None


def trained_parameters(model: ModelConfig, optim: OptimConfig) -> int:
    """How many numbers are trained, without those of frozen layers."""
    if not optim.freeze:
        return accounting.parameters(model).total
    sizes = _shapes(model)
    return sum(
        math.prod(sizes[name][1:]) * len(layers) if layers else math.prod(sizes[name])
        for name, layers in _trained(model, optim).items()
    )


@cache
def _trained(model: ModelConfig, optim: OptimConfig) -> Layers:
    from vitctl.optim import rates

    return rates.trained_layers(rates.shares(_shapes(model), config=optim))


def _shapes(model: ModelConfig) -> dict[str, tuple[int, ...]]:
    import jax

    from vitctl.model import shapes
    from vitctl.optim.optimizer import names

    params = shapes.of_params(model)
    return dict(zip(names(params), (p.shape for p in jax.tree.leaves(params)), strict=True))
