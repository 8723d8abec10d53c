"""What a training step needs, counted from shapes, against what a device has.

An estimate before anything is allocated, so that what can't work is refused in seconds. It counts
arrays, not the compiler's temporaries: a step that is refused would not have fitted, one that
passes closely may still run out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np

from vitctl.errors import DoesNotFitError
from vitctl.model.config import ModelConfig
from vitctl.train.config import TrainConfig
from vitctl.train.state import TrainState

Remat = Literal["none", "full"]
_FLOAT = 4


@dataclass(frozen=True)
class Need:
    """Bytes on one device."""

    parameters: int
    optimizer: int
    gradients: int
    activations: int
    batch: int

    @property
    def total(self) -> int:
        return self.parameters + self.optimizer + self.gradients + self.activations + self.batch

    def as_text(self) -> str:
        parts = {
            "parameters": self.parameters,
            "optimizer": self.optimizer,
            "gradients": self.gradients,
            "activations": self.activations,
        }
        return ", ".join(f"{name} {gib(value)}" for name, value in parts.items())


def need(cfg: TrainConfig, *, state: TrainState, images_per_device: int, remat: Remat) -> Need:
    """Count the arrays of one step. `state` may be shapes; weights are replicated."""
    parameters = _bytes(state.params)
    side = cfg.model.resolution
    size = 2 if cfg.precision == "bfloat16" else 4
    return Need(
        parameters=parameters,
        optimizer=_bytes(state.opt),
        gradients=parameters,
        activations=images_per_device * activation_bytes(cfg.model, dtype_bytes=size, remat=remat),
        batch=images_per_device * side * side * 3 * _FLOAT,
    )


def activation_bytes(model: ModelConfig, *, dtype_bytes: int, remat: Remat) -> int:
    """Bytes kept for the backward pass for one image.

    A block keeps the residual stream twice, both norms' outputs, queries, keys, values, the
    attention's mix and output, and the MLP's hidden features before and after the nonlinearity;
    attention weights are kept in fp32 and, where that differs, in the compute type.
    """
    n = model.tokens + (model.head == "token")
    tokenwise = n * (9 * model.width + 2 * model.mlp_dim) * dtype_bytes
    weights = model.heads * n * n * (_FLOAT + (dtype_bytes if dtype_bytes != _FLOAT else 0))
    block = tokenwise + weights
    stream = n * model.width * dtype_bytes
    body = model.depth * block if remat == "none" else model.depth * stream + block
    ends = 3 * n * model.width * _FLOAT + 3 * model.classes * _FLOAT
    return body + ends


def choose(
    cfg: TrainConfig,
    *,
    state: TrainState,
    images_per_device: int,
    available: int | None,
    remat: Literal["auto", "none", "full"],
) -> tuple[Remat, Need]:
    """What to recompute. Raises DoesNotFitError, with the numbers, if nothing fits."""
    options: tuple[Remat, ...] = ("none", "full") if remat == "auto" else (remat,)
    needs = [
        (option, need(cfg, state=state, images_per_device=images_per_device, remat=option))
        for option in options
    ]
    if available is None:
        return needs[0]
    for option, needed in needs:
        if needed.total <= available:
            return option, needed
    raise DoesNotFitError(
        f"{cfg.name} at batch {images_per_device} a device needs about {gib(needed.total)} "
        f"({needed.as_text()}), and {gib(available)} is free",
        hint=_hint(cfg, state=state, images_per_device=images_per_device, available=available),
    )


def _hint(cfg: TrainConfig, *, state: TrainState, images_per_device: int, available: int) -> str:
    fixed = need(cfg, state=state, images_per_device=0, remat="full").total
    one = need(cfg, state=state, images_per_device=1, remat="full").total - fixed
    room = (available - fixed) // one
    if room < 1:
        return f"weights and optimizer alone take {gib(fixed)}: take a smaller --model"
    devices = cfg.data.batch // images_per_device
    return f"--batch {room * devices} would fit"


def gib(count: int) -> str:
    """Bytes as GiB, or MiB when small."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 / 10 else f"{count / 2**20:.1f} MiB"


def _bytes(tree: Any) -> int:
    return sum(
        int(np.prod(leaf.shape)) * np.dtype(leaf.dtype).itemsize for leaf in jax.tree.leaves(tree)
    )
