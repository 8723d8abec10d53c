"""A mesh of devices, and how weights, optimizer state, batches and activations lie on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array
from numpy.typing import NDArray

from vitctl import processes
from vitctl.errors import UsageError
from vitctl.hardware import machine
from vitctl.model.roles import is_stacked
from vitctl.optim.optimizer import names as leaf_names
from vitctl.sharding.optimizer import axes_of_state
from vitctl.sharding.rules import Axes, axes_of, is_axes
from vitctl.sharding.spec import MeshSpec

AXES = ("data", "zero", "fsdp", "tensor")
BATCH = ("data", "zero", "fsdp")
"""A batch is divided over all axes but `tensor`."""

_ACTIVATIONS = {"b": BATCH, "h": "tensor", "f": "tensor"}
"""Axes of activations, in the letters of `vitctl.model`; all others are whole on every device."""


@dataclass(frozen=True)
class Layout:
    """`spec` on devices. Two layouts of the same spec and devices are equal."""

    spec: MeshSpec
    mesh: Mesh

    @property
    def devices(self) -> int:
        return self.spec.devices

    @property
    def batch_shards(self) -> int:
        return self.spec.batch_shards

    @property
    def platform(self) -> str:
        """ "cpu", "gpu" or "tpu"."""
        return self.mesh.devices.flat[0].platform

    @property
    def device_kind(self) -> str:
        """What jax calls these devices, as in "TPU v5 lite"."""
        return self.mesh.devices.flat[0].device_kind

    def __str__(self) -> str:
        return str(self.spec)

    # Shardings

    @property
    def replicated(self) -> NamedSharding:
        """Every device holds the whole array."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def batch(self) -> NamedSharding:
        """The first axis, the batch, is divided."""
        return NamedSharding(self.mesh, PartitionSpec(BATCH))

    def params(self, params: Any) -> Any:
        """The sharding of each parameter, as they are kept between steps.

        Raises ValueError if a parameter is covered by no rule.
        """
        return self._shardings(params, {"fsdp": "fsdp"})

    def grads(self, params: Any) -> Any:
        """The sharding of each parameter's gradient and update."""
        return self._shardings(params, _STATE)

    def opt(self, opt: Any, *, params: Any) -> Any:
        """The sharding of each array of the optimizer's state: a moment like the gradient, a
        factored one like the gradient without the axis that is summed over."""
        names = leaf_names(params)
        axes = axes_of(names)
        shapes = dict(zip(names, (p.shape for p in jax.tree.leaves(params)), strict=True))
        state_axes = axes_of_state(opt, axes=axes, shapes=shapes)
        return jax.tree.map(lambda a: self._named(a, _STATE), state_axes, is_leaf=is_axes)

    def constrain(self, x: Array, axes: str) -> Array:
        """Pin an activation's sharding; `axes` has a letter for each of its axes.

        With shardings of the parameters alone, the partitioner may gather the global batch.
        """
        if self.devices == 1:
            return x
        parts = (_ACTIVATIONS.get(letter) for letter in axes)
        return jax.lax.with_sharding_constraint(x, NamedSharding(self.mesh, PartitionSpec(*parts)))

    def use(self, params: Any, prefix: str, dtype: np.dtype) -> Any:
        """Parameters as the model multiplies with them, one layer or those outside the layers.

        What is divided is gathered in `dtype`, the type it is multiplied in; gradients are summed
        over the devices straight into the parts that each device updates.
        """
        names = [f"{prefix}{name}" for name in leaf_names(params)]
        axes = axes_of(names)

        def one(name: str, x: Array) -> Array:
            # A single layer's parameter has no layer axis.
            own = axes[name][1:] if is_stacked(name) else axes[name]
            if "fsdp" not in own:
                return x
            used = self._named(own, {})
            given = self._named(own, _STATE)
            return _used(x, used, given, dtype)

        if self.spec.zero * self.spec.fsdp == 1:
            return params
        leaves, tree = jax.tree.flatten(params)
        return jax.tree.unflatten(tree, [one(*item) for item in zip(names, leaves, strict=True)])

    # Arrays

    def whole_shards(self, batch: int) -> int:
        """`batch` rounded up to what divides over the devices."""
        return -(-batch // self.batch_shards) * self.batch_shards

    def rows(self, batch: int) -> NDArray[np.int64] | slice:
        """Which rows of a global batch this process feeds, ascending: those of its own devices.
        They need not lie together where the mesh follows the network's shape."""
        if not self.mesh.is_multi_process:
            return slice(None)
        own = self.batch.addressable_devices_indices_map((batch,)).values()
        return np.unique(np.concatenate([np.arange(batch)[index] for index in own]))

    def place_batch(self, tree: Any) -> Any:
        """Host arrays as device arrays, divided along the first axis. Each process passes its own
        part of the batch."""
        place = partial(jax.make_array_from_process_local_data, self.batch)
        return jax.tree.map(lambda x: place(np.asarray(x)), tree)

    def place(self, tree: Any, shardings: Any = None) -> Any:
        """Host arrays, the same in each process, as device arrays; replicated by default. Device
        arrays that lie so already stay where they are."""
        if shardings is None:
            shardings = jax.tree.map(lambda x: self.replicated, tree)
        return jax.tree.map(_placed, tree, shardings)

    def on_host(self, tree: Any) -> Any:
        """Device arrays as host arrays, whole in each process. All processes must call this:
        no one of them can reach the others' parts alone."""
        whole = jax.jit(lambda x: x, out_shardings=self.replicated)
        return jax.tree.map(lambda x: np.asarray(whole(x)), tree)

    def _shardings(self, params: Any, over: dict[str, Any]) -> Any:
        axes = axes_of(leaf_names(params))
        tree = jax.tree.structure(params)
        return jax.tree.unflatten(tree, [self._named(a, over) for a in axes.values()])

    def _named(self, axes: Axes, over: dict[str, Any]) -> NamedSharding:
        over = {"tensor": "tensor", **over}
        return NamedSharding(self.mesh, PartitionSpec(*(over.get(a or "") for a in axes)))


_STATE = {"fsdp": ("zero", "fsdp")}


def make(spec: MeshSpec | None = None, *, devices: Sequence[Any] | int | None = None) -> Layout:
    """A layout over these devices: given ones, the first so many there are, or all.

    Without `spec` all are along the data axis. UsageError if they are not as many as it needs.
    """
    if devices is None or isinstance(devices, int):
        devices = first(devices)
    resolved = (spec or MeshSpec()).resolve(devices=len(devices))
    assert resolved.data is not None
    shape = (resolved.data // resolved.zero, resolved.zero, resolved.fsdp, resolved.tensor)
    grid = np.asarray(devices, dtype=object).reshape(shape)
    return Layout(resolved, Mesh(grid, AXES, axis_types=(AxisType.Auto,) * len(AXES)))


def first(count: int | None) -> list[Any]:
    """The first `count` devices (None: all of all processes).

    Raises UsageError if there are fewer or none, or for a count where several processes work.
    """
    if count is not None and processes.count() > 1:
        raise UsageError(
            "--devices is for one process; several use all that they see",
            hint="show each process fewer: CUDA_VISIBLE_DEVICES, TPU_VISIBLE_CHIPS",
        )
    local_devices = machine.devices()
    if count is not None and count > len(local_devices):
        raise UsageError(
            f"{count} devices are requested, but this machine has {len(local_devices)}"
        )
    return local_devices[:count]


def like(shapes: Any, shardings: Any) -> Any:
    """Shapes (of `jax.eval_shape`) with shardings (a tree, or one for all), as a restore and an
    ahead-of-time compilation need them."""
    if isinstance(shardings, NamedSharding):
        whole = shardings
        shardings = jax.tree.map(lambda x: whole, shapes)
    return jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, shardings
    )


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _used(x: Array, used: NamedSharding, given: NamedSharding, dtype: Any) -> Array:
    return jax.lax.with_sharding_constraint(x.astype(dtype), used)


def _used_forward(
    x: Array, used: NamedSharding, given: NamedSharding, dtype: Any
) -> tuple[Array, Any]:
    return _used(x, used, given, dtype), jax.numpy.zeros((), x.dtype)


def _used_backward(
    used: NamedSharding, given: NamedSharding, dtype: Any, residuals: Any, grad: Array
) -> tuple[Array]:
    del used, dtype
    return (jax.lax.with_sharding_constraint(grad, given).astype(residuals.dtype),)


_used.defvjp(_used_forward, _used_backward)


def _placed(x: Any, sharding: NamedSharding) -> Array:
    if isinstance(x, Array) and x.sharding == sharding:
        return x
    x = np.asarray(x)
    part: Callable[[Any], Any] = x.__getitem__
    return jax.make_array_from_callback(x.shape, sharding, part)
