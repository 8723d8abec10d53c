"""The devices that jax finds, and whether they compute and exchange correctly."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from vitctl.doctor import packages
from vitctl.doctor.finding import CheckRequest, Finding
from vitctl.errors import UsageError
from vitctl.hardware import machine
from vitctl.plan import topology

_GIB = 2**30
_SIDE = 256
_EXCHANGED = 2**20
"""Numbers that each device adds to the sum: 4 MiB."""


def devices(request: CheckRequest) -> Finding:
    """Kind, number and memory of the devices. Where nobody chose, jax takes the CPU if it cannot
    start a TPU, and does not say why."""
    local_devices = machine.devices()
    memory = machine.device_bytes()
    kind = local_devices[0].device_kind
    message = f"{len(local_devices)} x {kind} ({local_devices[0].platform})"
    if memory is not None:
        message += f", {memory / _GIB:.1f} GiB each"
    numbers = {
        "platform": local_devices[0].platform,
        "kind": kind,
        "devices": len(local_devices),
        "memory_bytes": memory,
    }
    message += _of_slice()
    unused = "tpu" if packages.tpu_is_there() else "cuda" if packages.driver() else None
    if local_devices[0].platform == "cpu" and unused and not os.environ.get("JAX_PLATFORMS"):
        message += f", although this machine has hardware for JAX_PLATFORMS={unused}"
        hint = f"see the reason: JAX_PLATFORMS={unused} vitctl doctor; or choose: JAX_PLATFORMS=cpu"
        return Finding("devices", "fail", message, hint, numbers)
    return Finding("devices", "ok", message, None, numbers)


def _of_slice() -> str:
    """The slice that a Cloud TPU machine belongs to, spelled as for `plan --topology`."""
    name = os.environ.get("TPU_ACCELERATOR_TYPE")
    if not name:
        return ""
    try:
        whole = topology.parse(name)
    except UsageError:  # a kind that this version does not know
        return ""
    return f"; part of {name}: {whole.devices} devices, vitctl plan --topology {whole.name}"


def compute(request: CheckRequest) -> Finding:
    """The same matrix product on each device, against numpy's in float64.

    The terms are small integers, so that every precision a device may use gives the exact sum.
    """
    import jax

    draw = np.random.default_rng(0)
    a, b = draw.integers(-2, 3, (2, _SIDE, _SIDE)).astype(np.float32)
    right = a.astype(np.float64) @ b.astype(np.float64)
    product = jax.jit(lambda x, y: x @ y)
    wrong = []
    began = time.perf_counter()
    for device in jax.local_devices():
        got = np.asarray(product(jax.device_put(a, device), jax.device_put(b, device)))
        if not np.array_equal(got, right):
            wrong.append(str(device))
    numbers: dict[str, Any] = {"seconds": round(time.perf_counter() - began, 3), "wrong": wrong}
    if wrong:
        message = f"a matrix product is wrong on {', '.join(wrong)}"
        return Finding(
            "compute", "fail", message, "do not train on that device; have it replaced", numbers
        )
    return Finding("compute", "ok", "a matrix product is exact on each device", None, numbers)


def collective(request: CheckRequest) -> Finding:
    """A sum over the devices of this one process, checked, and its time once compiled."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    every = jax.devices()
    mesh = Mesh(np.asarray(every), ("data",))
    split = NamedSharding(mesh, PartitionSpec("data"))
    whole = NamedSharding(mesh, PartitionSpec())
    # Device i holds i + 1 everywhere, so the sum is known.
    held = [
        jax.device_put(np.full((1, _EXCHANGED), number, np.float32), device)
        for number, device in enumerate(every, start=1)
    ]
    rows = jax.make_array_from_single_device_arrays((len(every), _EXCHANGED), split, held)
    total = jax.jit(lambda x: jnp.sum(x, axis=0), out_shardings=whole)
    got = np.asarray(jax.block_until_ready(total(rows)))
    began = time.perf_counter()
    jax.block_until_ready(total(rows))
    seconds = time.perf_counter() - began
    right = len(every) * (len(every) + 1) / 2
    numbers = {"devices": len(every), "seconds": round(seconds, 5)}
    if not np.all(got == right):
        message = f"the sum over {len(every)} devices is {got.flat[0]:g} instead of {right:g}"
        hint = "check the links between the devices (nvidia-smi topo -m; NCCL_DEBUG=INFO)"
        return Finding("collective", "fail", message, hint, numbers)
    if len(every) == 1:
        return Finding(
            "collective", "ok", "one device: there is nothing to exchange", None, numbers
        )
    message = f"4 MiB summed over {len(every)} devices in {1000 * seconds:.1f} ms, correctly"
    return Finding("collective", "ok", message, None, numbers)
