"""The devices that are to train: TPUs and GPUs that need not be there, or those of this machine."""

from __future__ import annotations

from dataclasses import dataclass

from vitctl.errors import UsageError
from vitctl.hardware import accelerators, machine
from vitctl.hardware.gpus import GPUS, USABLE, gpu_named, gpu_of
from vitctl.hardware.tpus import Hardware, by_kind
from vitctl.plan import topology as topologies
from vitctl.plan.topology import LOCAL
from vitctl.quoting import quoted
from vitctl.suggestions import suggest


@dataclass(frozen=True)
class Devices:
    """What trains.

    Attributes:
      name: as `--topology` and `--gpu` take it.
      kind: jax's `device_kind`, or the name of a row of `hardware.gpus`.
      count: devices, as jax counts them.
      hardware: None if no table has a row for it.
      memory: bytes that a program may use on one; None if unknown.
      local: they are this machine's.
    """

    name: str
    kind: str
    count: int
    hardware: Hardware | None
    memory: int | None
    local: bool = False

    @property
    def devices_per_chip(self) -> int:
        return 1 if self.hardware is None else self.hardware.devices_per_chip

    def is_kind(self, device_kind: str) -> bool:
        """Whether a run's devices were of this kind."""
        if device_kind == self.kind:
            return True
        gpu = gpu_of(device_kind)
        return gpu is not None and gpu.kind == self.kind


def tpus(text: str) -> Devices:
    """The devices of a slice, as in `v5e:4x4`. UsageError for an unknown one."""
    if accelerators.gpus(text) is not None:
        return gpus(text, option="--topology")
    slice_of = topologies.parse(text)
    hardware = slice_of.hardware
    assert hardware is not None  # of a slice
    return Devices(slice_of.name, hardware.kind, slice_of.devices, hardware, hardware.memory)


def gpus(text: str, *, option: str = "--gpu") -> Devices:
    """The GPUs of `h100:8`, `8xA100` or the name of a machine. UsageError for an unknown one."""
    named = accelerators.gpus(text)
    if named is not None and named.count < 1:
        raise UsageError(
            f"{option} {quoted(text[:40])} is no GPU at all",
            hint=f"one or more, as in {named.kind}:8",
        )
    if named is None:
        bare = text.strip().upper().split(":")[0]
        raise UsageError(
            f"{option} {quoted(text[:40])} names no GPUs",
            hint=suggest(
                bare, GPUS, otherwise=f"write h100:8, 8xA100 or a3-highgpu-8g; {_known()}"
            ),
        )
    row = gpu_named(named.kind)
    if row is None:
        raise UsageError(
            f"{option} {quoted(text[:40])}: no peak, bandwidth and memory are known of "
            f"{named.kind}",
            hint=f"{_known()}; on the machine that has them: --topology local",
        )
    assert row.memory is not None  # of the table
    return Devices(
        f"{named.count} x {row.kind}", row.kind, named.count, row, int(row.memory * USABLE)
    )


def local() -> Devices:
    """The devices of this machine. Imports jax."""
    here, devices = topologies.local()
    kind = devices[0].device_kind
    hardware = by_kind(kind) or gpu_of(kind)
    memory = machine.device_bytes()
    return Devices(LOCAL, kind, here.devices, hardware, memory, local=True)


def _known() -> str:
    return f"known are {', '.join(GPUS)}"
