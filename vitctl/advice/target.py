"""The devices that are to train: TPUs and GPUs that need not be there, or those of this machine."""

from __future__ import annotations

from dataclasses import dataclass

from vitctl.errors import UsageError
from vitctl.hardware import machine
from vitctl.hardware.gpus import gpu_of
from vitctl.hardware.tpus import Hardware
from vitctl.plan import topology as topologies
from vitctl.plan.topology import LOCAL


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


def named(text: str, *, option: str = "--topology") -> Devices:
    """The devices of a slice of TPUs, as in `v5e:4x4`, or GPUs, as in `h100:8`, `8xA100` or the
    name of a machine; of option `--gpu` GPUs alone. UsageError for unknown ones."""
    gpus_only = option != "--topology"
    target = topologies.gpus(text, option=option) if gpus_only else topologies.parse(text)
    hardware = target.hardware
    assert hardware is not None  # of what has a name
    try:
        target = topologies.in_machines(target)
    except UsageError as error:
        raise UsageError(
            f"{option} {error.message}", hint=f"take at most the {hardware.node} of one machine"
        ) from None
    return Devices(target.name, hardware.kind, target.devices, hardware, target.memory)


def local() -> Devices:
    """The devices of this machine. Imports jax."""
    here, devices = topologies.local()
    kind = devices[0].device_kind
    return Devices(LOCAL, kind, here.devices, here.hardware, machine.device_bytes(), local=True)
