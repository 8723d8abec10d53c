"""What a training step needs, counted from shapes, against what a device has; and from that how a
run is laid out.

An estimate before anything is allocated or compiled, so that what can't work is refused in seconds.
How far it is from what compilers report: `docs/guide/layouts.md`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, assert_never

import jax
import numpy as np

from vitctl.errors import DoesNotFitError, UsageError
from vitctl.model import accounting
from vitctl.model.config import ModelConfig
from vitctl.model.remat import Remat
from vitctl.optim import frozen
from vitctl.optim.optimizer import names
from vitctl.sharding.optimizer import axes_of_state
from vitctl.sharding.rules import Axes, axes_of, is_axes
from vitctl.sharding.spec import MeshSpec
from vitctl.train.config import TrainConfig
from vitctl.train.program import state as states

_MOST = 64
"""Devices that state is divided over: one row of a 32x32 TPUv3, what ViT-G was compiled for. Of
what is divided a 64th is left; more devices would save little."""

_FLOAT = 4


@dataclass(frozen=True)
class Need:
    """Bytes on one device."""

    parameters: int
    optimizer: int
    gradients: int
    activations: int
    temporaries: int
    batch: int

    @property
    def total(self) -> int:
        return (
            self.parameters
            + self.optimizer
            + self.gradients
            + self.activations
            + self.temporaries
            + self.batch
        )

    def as_text(self) -> str:
        parts = {
            "parameters": self.parameters,
            "optimizer": self.optimizer,
            "gradients": self.gradients,
            "activations": self.activations,
            "temporaries": self.temporaries,
        }
        return ", ".join(f"{name} {gib(value)}" for name, value in parts.items())


@dataclass(frozen=True)
class MemoryPlan:
    """How a run is laid out, and what it needs. `reason`: why it is not the plain way; None if it
    is, or if it was asked for."""

    spec: MeshSpec
    remat: Remat
    microbatch: int
    need: Need
    reason: str | None = None


def checkpoint_bytes(cfg: TrainConfig) -> int:
    """Of a checkpoint: weights, their average if there is one, and what the optimizer keeps. On the
    disk chunks are compressed, which saves a few percent of trained weights."""
    shapes = states.shapes(cfg)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))


def need(cfg: TrainConfig, *, spec: MeshSpec, remat: Remat, microbatch: int | None = None) -> Need:
    """Count the arrays of one step. `spec.data` must be known; `microbatch` as in `make_step`."""
    state, size = _divided(cfg, spec), _size(cfg)
    images = cfg.data.batch // spec.batch_shards
    at_once = images if microbatch is None else microbatch
    side = cfg.model.resolution
    return Need(
        parameters=state.parameters,
        optimizer=state.optimizer,
        # Where gradients are summed over parts of the batch, the sum is there beside the part.
        gradients=state.gradients * (1 if at_once == images else 2),
        activations=at_once
        * activation_bytes(
            cfg.model,
            dtype_bytes=size,
            remat=remat,
            tensor=spec.tensor,
            passed=_passed_blocks(cfg),
        ),
        temporaries=state.temporaries,
        batch=images * side * side * 3 * _FLOAT,
    )


def updated_bytes(cfg: TrainConfig, *, spec: MeshSpec) -> int:
    """Bytes of the weights that one device updates."""
    return _divided(cfg, spec).gradients


def activation_bytes(
    model: ModelConfig,
    *,
    dtype_bytes: int,
    remat: Remat,
    tensor: int = 1,
    passed: int | None = None,
) -> int:
    """Bytes kept for the backward pass for one image, and one block's while it is computed again.
    Those of one block alone where the pass goes through none; `passed` of them, None for all.

    Those pass by: the residual stream twice, both norms' outputs, queries, keys, values, the
    attention's mix and output, the MLP's hidden features before and after the nonlinearity (of
    SwiGLU gates, what they multiply, and the product), and attention weights in fp32 and, where
    that differs, in the compute type. Heads and hidden features are divided by `tensor`.
    """
    n = model.sequence
    d, f = n * model.width * dtype_bytes, n * model.mlp_dim * dtype_bytes // tensor
    weights = model.heads // tensor * n * n
    weights *= _FLOAT + (dtype_bytes if dtype_bytes != _FLOAT else 0)
    passing = 5 * d + 4 * (d // tensor) + model.mlp_kernels * f + weights
    per_block = kept_bytes(model, dtype_bytes=dtype_bytes, remat=remat, tensor=tensor)
    if passed is None:
        passed = model.depth
    once = 0 if remat == "none" and passed == model.depth else passing
    body = passed * per_block + once
    head_and_tail = 3 * n * model.width * _FLOAT + 3 * model.classes * _FLOAT
    return body + head_and_tail


def kept_bytes(model: ModelConfig, *, dtype_bytes: int, remat: Remat, tensor: int = 1) -> int:
    """Bytes that the forward pass leaves of one block and image for the backward pass.

    With recomputation its input and what `vit.SAVED` names. Without, all that differentiation asks
    for, as it is stacked by the scan, where a compiler fuses nothing away: three arrays of each
    norm in fp32 and its output, queries, keys, values and the attention's mix, attention weights in
    fp32 and in the compute type, six arrays of the MLP's nonlinearity or gates (four of any GELU
    but the tanh approximation), means and deviations; norms of queries and keys are as other norms,
    in heads, whose outputs take the place of what they norm; a layer scale keeps what it
    multiplies.
    """
    n = model.sequence
    d, f = n * model.width * dtype_bytes, n * model.mlp_dim * dtype_bytes // tensor
    divided, heads = d // tensor, model.heads // tensor
    match remat:
        case "none":
            norms = 6 * n * model.width * _FLOAT + 2 * d + 4 * n * _FLOAT
            weights = heads * n * n * (_FLOAT + dtype_bytes) + 2 * heads * n * _FLOAT
            if model.qk_norm:
                norms += 6 * n * model.width // tensor * _FLOAT + 4 * n * heads * _FLOAT
            scales = 0 if model.layer_scale is None else 2 * d
            return norms + 4 * divided + weights + _nonlinear_arrays(model) * f + scales
        case "dots":
            return 2 * d + 4 * divided + (model.mlp_kernels - 1) * f
        case "mlp":
            return d + (model.mlp_kernels - 1) * f
        case "full":
            return d
        case _:
            assert_never(remat)


def _nonlinear_arrays(model: ModelConfig) -> int:
    match model.mlp, model.gelu:
        case ("swiglu", _) | ("plain", "tanh"):
            return 6
        case "plain", ("exact" | "quick"):
            return 4
        case other:
            assert_never(other)


def choose(
    cfg: TrainConfig,
    *,
    devices: int,
    available: int | None,
    remats: Sequence[Remat],
    mesh: MeshSpec | None = None,
    microbatch: int | None = None,
) -> MemoryPlan:
    """Mesh and recomputation: what was asked for, else the fastest that fits.

    What is tried, in this order: `remats`, the fastest first (`vitctl.model.remat.to_try`); for
    each, weights whole on every device, then divided with all that goes with them (`fsdp`).
    `zero` is left to be asked for: compiled for TPUv3 it needed three times as much as `fsdp`.

    Raises:
      UsageError: the mesh, the batch or the microbatch does not divide.
      DoesNotFitError: nothing fits, with the numbers.
    """
    specs = [mesh.resolve(devices=devices)] if mesh else list(_specs(cfg, devices=devices))
    for spec in specs:
        spec.check_model(cfg.model)
        _check_batch(spec, cfg.data.batch, fixed=mesh is not None)
    images = cfg.data.batch // specs[0].batch_shards
    at_once = checked_microbatch(microbatch, images=images)
    plans = [
        MemoryPlan(spec, rung, at_once, need(cfg, spec=spec, remat=rung, microbatch=at_once))
        for rung in remats
        for spec in specs
    ]
    if available is None:
        return plans[0]
    for plan in plans:
        if plan.need.total <= available:
            if plan is plans[0]:
                return plan
            return replace(plan, reason=_reason(plan, plans[0], available=available))
    best = min(plans, key=lambda plan: plan.need.total)
    raise DoesNotFitError(
        f"{cfg.label} at batch {images} a device needs about {gib(best.need.total)} "
        f"({best.need.as_text()}), and {gib(available)} is free",
        hint=_hint(cfg, best, available=available),
    )


def _check_batch(spec: MeshSpec, batch: int, *, fixed: bool) -> None:
    """As the mesh does, with a way out for a run that goes on: another batch is another run."""
    try:
        spec.check_batch(batch)
    except UsageError as error:
        if fixed:
            raise
        fewer = max(n for n in range(1, spec.devices) if batch % n == 0)
        raise UsageError(
            error.message,
            hint=f"{error.hint}; to continue a run, which keeps its batch: --devices {fewer}",
        ) from None


def checked_microbatch(microbatch: int | None, *, images: int) -> int:
    """Images a device at a time; all of its `images` for None. UsageError if they do not divide."""
    if microbatch is None:
        return images
    if images % microbatch:
        fits = [n for n in range(1, min(microbatch, images) + 1) if images % n == 0]
        raise UsageError(
            f"--microbatch {microbatch} does not divide the {images} images of each device",
            hint=f"use --microbatch {fits[-1]}",
        )
    return microbatch


def gib(count: int) -> str:
    """Bytes as GiB, or MiB when small."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 / 10 else f"{count / 2**20:.1f} MiB"


@dataclass(frozen=True)
class _State:
    """Bytes on one device of what does not depend on the batch."""

    parameters: int
    optimizer: int
    gradients: int
    temporaries: int


@cache
def _divided_by(model: ModelConfig, optim: Any, spec: MeshSpec, size: int) -> _State:
    shapes = states.shapes_of(model, optim)
    by_name = {
        name: leaf.shape
        for name, leaf in zip(names(shapes.params), jax.tree.leaves(shapes.params), strict=True)
    }
    axes = axes_of(by_name)
    trained = states.trained_shapes_of(model, optim)
    own_axes = axes_of(names(trained))
    own_shapes = dict(zip(own_axes, (leaf.shape for leaf in jax.tree.leaves(trained)), strict=True))
    opt_axes = axes_of_state(shapes.opt, axes=own_axes, shapes=own_shapes)
    params = list(zip(jax.tree.leaves(shapes.params), axes.values(), strict=True))
    opt = list(
        zip(
            jax.tree.leaves(shapes.opt),
            jax.tree.leaves(opt_axes, is_leaf=is_axes),
            strict=True,
        )
    )
    over_fsdp, update = spec.fsdp, spec.fsdp * spec.zero
    parameters = sum(_bytes(leaf, own, fsdp=over_fsdp, tensor=spec.tensor) for leaf, own in params)
    gradients = sum(
        _bytes(leaf, own, fsdp=update, tensor=spec.tensor)
        for leaf, own in zip(jax.tree.leaves(trained), own_axes.values(), strict=True)
    )
    # Weights as they are multiplied with, in the compute type: of all layers, since compilers move
    # the conversion out of the loop, unless they are gathered layer by layer.
    used = sum(_bytes(leaf, own, fsdp=1, tensor=spec.tensor) for leaf, own in params)
    cast = used * size // _FLOAT if size != _FLOAT else 0
    if spec.fsdp > 1:
        cast = cast // spec.fsdp + 2 * used * size // _FLOAT // model.depth
    moments = sum(_bytes(leaf, own, fsdp=update, tensor=spec.tensor) for leaf, own in opt)
    return _State(
        parameters=parameters,
        # The average lies as the parameters do.
        optimizer=moments + (0 if shapes.average is None else parameters),
        gradients=gradients,
        temporaries=cast,
    )


def _divided(cfg: TrainConfig, spec: MeshSpec) -> _State:
    return _divided_by(cfg.model, cfg.optim, spec, _size(cfg))


def _passed_blocks(cfg: TrainConfig) -> int:
    """How many blocks the backward pass goes through."""
    trained = frozen.trained_layers(cfg.model, cfg.optim)
    if trained is None:
        return cfg.model.depth
    return accounting.passed_blocks(trained, depth=cfg.model.depth)


def _size(cfg: TrainConfig) -> int:
    return 2 if cfg.precision == "bfloat16" else _FLOAT


def _bytes(leaf: Any, axes: Axes, *, fsdp: int, tensor: int) -> int:
    parts = math.prod({"fsdp": fsdp, "tensor": tensor}.get(axis or "", 1) for axis in axes)
    return math.prod(leaf.shape) * np.dtype(leaf.dtype).itemsize // parts


def _specs(cfg: TrainConfig, *, devices: int) -> Iterator[MeshSpec]:
    """Meshes to try: plain, then with the state divided."""
    yield MeshSpec(data=devices)
    common = math.gcd(devices, cfg.model.width)
    parts = max(parts for parts in range(1, _MOST + 1) if common % parts == 0)
    if parts > 1:
        yield MeshSpec(data=devices // parts, fsdp=parts)


def _reason(plan: MemoryPlan, plain: MemoryPlan, *, available: int) -> str:
    chosen = [f"--mesh {plan.spec}"] if plan.spec != plain.spec else []
    chosen += [f"remat {plan.remat}"] if plan.remat != plain.remat else []
    return (
        f"{', '.join(chosen)}: otherwise a device needs about {gib(plain.need.total)}, and "
        f"{gib(available)} is free"
    )


def _hint(cfg: TrainConfig, plan: MemoryPlan, *, available: int) -> str:
    """What would fit: fewer images at a time, as they change no result, else fewer images."""
    images = cfg.data.batch // plan.spec.batch_shards

    def total(microbatch: int) -> int:
        return need(cfg, spec=plan.spec, remat=plan.remat, microbatch=microbatch).total

    for part in range(images - 1, 0, -1):
        if images % part == 0 and total(part) <= available:
            return f"--microbatch {part} would fit"
    fixed = need(cfg, spec=plan.spec, remat=plan.remat, microbatch=images)
    fixed_bytes = fixed.total - fixed.activations - fixed.batch
    room = (available - fixed_bytes) * images // (fixed.activations + fixed.batch)
    if room < 1:
        return f"weights and optimizer alone take {gib(fixed_bytes)}: take a smaller --model"
    return f"--batch {room * plan.spec.batch_shards} would fit"
