"""Seconds of a step, from what the compiler counts in programs of few, unrolled layers."""

from __future__ import annotations

from dataclasses import dataclass

from vitctl.hardware.tpus import Hardware
from vitctl.plan.program import Program

DEPTHS = (1, 2)
"""Layers of the programs that costs are taken from. Layers are alike, so every count is linear in
depth: on S/16 extrapolating from 1 and 2 is within 1 % of 4 layers in FLOPs, bytes and cycles."""


@dataclass(frozen=True)
class Cost:
    """Of one step on one device.

    Attributes:
      flops, bytes: as XLA counts them, all layers.
      cycle_seconds: libtpu's estimate of each operation, summed; None where it gives none.
      compute_seconds: flops / peak.
      memory_seconds: bytes / bandwidth.
      link_seconds: of all collectives, none hidden.
    """

    flops: float
    bytes: float
    cycle_seconds: float | None
    compute_seconds: float
    memory_seconds: float
    link_seconds: float

    @property
    def seconds(self) -> float:
        """The cost: the slower of computing and memory, plus the links."""
        return max(self.compute_seconds, self.memory_seconds) + self.link_seconds

    @property
    def least_seconds(self) -> float:
        """The roofline: everything overlaps, only the slowest counts."""
        return max(self.compute_seconds, self.memory_seconds, self.link_seconds)


def linear(shallow: float, deep: float, *, depths: tuple[int, int], depth: int) -> float:
    """The straight line through (depths[0], shallow) and (depths[1], deep), at `depth`."""
    first, second = depths
    return shallow + (deep - shallow) / (second - first) * (depth - first)


def extrapolate(
    shallow: Program,
    deep: Program,
    *,
    depth: int,
    hardware: Hardware,
    depths: tuple[int, int] = DEPTHS,
) -> Cost:
    """The cost of `depth` layers. Raises ValueError if a program has no costs."""
    if not (shallow.fits and deep.fits):
        raise ValueError("a program that was refused has no cost")

    def at(name: str) -> float:
        values = [float(getattr(p, name) or 0.0) for p in (shallow, deep)]
        return max(0.0, linear(values[0], values[1], depths=depths, depth=depth))

    flops, accessed, cycles = at("flops"), at("bytes"), at("cycles")
    return Cost(
        flops=flops,
        bytes=accessed,
        cycle_seconds=cycles / hardware.hertz if cycles and hardware.hertz else None,
        compute_seconds=flops / hardware.flops,
        memory_seconds=accessed / hardware.bandwidth,
        link_seconds=at("link_seconds"),
    )
