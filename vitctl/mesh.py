"""Devices and how arrays lie on them.

Weights and optimizer state are replicated, batches are split: data parallelism, as in the paper
(the whole of ViT-G fits one TPUv3 core).
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from numpy.typing import NDArray

from vitctl.errors import UsageError

DATA = "data"


def make(devices: int | None = None) -> Mesh:
    """A mesh along the data axis of the first `devices` devices, or of all there are."""
    every = jax.devices()
    if devices is not None and devices > len(every):
        raise UsageError(f"{devices} devices were asked for, and there are {len(every)}")
    chosen = every[:devices]
    return Mesh(np.asarray(chosen), (DATA,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole array."""
    return NamedSharding(mesh, PartitionSpec())


def split(mesh: Mesh) -> NamedSharding:
    """The first axis, the batch, is divided over the devices."""
    return NamedSharding(mesh, PartitionSpec(DATA))


def check_batch(mesh: Mesh, batch: int) -> None:
    """Raise UsageError unless the devices divide the batch."""
    devices = mesh.shape[DATA]
    if batch % devices:
        near = max(1, round(batch / devices)) * devices
        raise UsageError(
            f"a batch of {batch} does not divide over {devices} devices",
            hint=f"use --batch {near}",
        )


def rows(mesh: Mesh, batch: int) -> NDArray[np.int64] | slice:
    """Which rows of a global batch this process feeds, ascending: those of its own devices. They
    need not lie together where the mesh follows the network's shape."""
    if not mesh.is_multi_process:
        return slice(None)
    own = split(mesh).addressable_devices_indices_map((batch,)).values()
    return np.unique(np.concatenate([np.arange(batch)[index] for index in own]))


def place(tree: Any, sharding: NamedSharding) -> Any:
    """Host arrays as global device arrays. Each process passes its own part of the batch."""
    return jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), tree
    )


def like(shapes: Any, sharding: NamedSharding) -> Any:
    """Shapes (of `jax.eval_shape`) with a sharding, as a restore needs them."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), shapes)
