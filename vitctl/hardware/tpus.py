"""What accelerators can do, by public sources. Imports no array library.

Numbers are of one JAX device: a core where a chip shows as two devices, else the chip. What no
public source gives is None, and numbers computed from it are unknown, too.
"""

from __future__ import annotations

from dataclasses import dataclass

GIB = 2**30
_DOCS = "https://docs.cloud.google.com/tpu/docs/"


@dataclass(frozen=True)
class Hardware:
    """One kind of accelerator, by JAX device.

    Attributes:
      name: as in `--topology NAME:SHAPE`; None for what is no TPU.
      kind: jax's `device_kind`.
      devices_per_chip: devices that share a chip's links.
      memory: bytes that a program may use. TPUs: the limit libtpu 0.0.52 states when it refuses a
        program (from a program with 800 GiB of temporaries, 2026-11-24).
      flops: peak of bf16 matrix products, in 1/s.
      bandwidth: of the device's memory, in bytes/s.
      links: of a chip, to its neighbours in a torus.
      link_bandwidth: of one link in one direction, in bytes/s.
      largest: chips of the largest slice one job can have; more take several slices.
      wraps_at: an axis of the torus closes to a ring at multiples of so many chips.
      hertz: of the matrix units' clock, which libtpu's estimates count: flops / (2 · multipliers).
      sources: where the numbers are from.
      node: devices of one machine, where links join no others: GPUs.
      network: bytes/s that a device sends to other machines; None if unknown, or as links join all.
    """

    name: str | None
    kind: str
    devices_per_chip: int
    memory: int | None
    flops: float
    bandwidth: float
    links: int
    link_bandwidth: float | None
    largest: int
    wraps_at: int
    hertz: float | None
    sources: tuple[str, ...]
    chip_config: str | None = None
    """What libtpu calls the set-up in which a chip is one device, where that is not its default."""
    node: int | None = None
    network: float | None = None

    @property
    def axes(self) -> int:
        """Dimensions of the torus."""
        return self.links // 2


def _tpu(
    name: str,
    kind: str,
    *,
    devices: int,
    gib: float,
    teraflops: float,
    gigabytes_s: float,
    links: int,
    link_gigabytes_s: float,
    largest: int,
    wraps_at: int,
    multipliers: int,
    sources: tuple[str, ...],
    chip_config: str | None = None,
) -> Hardware:
    """A row of the vendor's table: all but `gib` (a device's) and `multipliers` are a chip's."""
    return Hardware(
        name=name,
        kind=kind,
        devices_per_chip=devices,
        memory=int(gib * GIB),
        flops=teraflops * 1e12 / devices,
        bandwidth=gigabytes_s * 1e9 / devices,
        links=links,
        link_bandwidth=link_gigabytes_s * 1e9,
        largest=largest,
        wraps_at=wraps_at,
        hertz=teraflops * 1e12 / (2 * multipliers),
        sources=sources,
        chip_config=chip_config,
    )


_SQUARE = 128 * 128

TPUS: dict[str, Hardware] = {
    chip.name: chip
    for chip in (
        # Links where the vendor gives no number for one: all-reduce bandwidth of a pod over chips
        # and links: 340 TB/s / 1024 / 4 (v3), 1.1 PB/s / 4096 / 6 (v4).
        _tpu(
            "v3", "TPU v3", devices=2, gib=15.48, teraflops=123, gigabytes_s=900, links=4,
            link_gigabytes_s=83, largest=1024, wraps_at=32, multipliers=4 * _SQUARE,
            sources=(_DOCS + "v3",),
        ),
        _tpu(
            "v4", "TPU v4", devices=1, gib=30.75, teraflops=275, gigabytes_s=1200, links=6,
            link_gigabytes_s=44.8, largest=4096, wraps_at=4, multipliers=8 * _SQUARE,
            sources=(_DOCS + "v4",),
            chip_config="megacore",
        ),
        _tpu(
            "v5e", "TPU v5 lite", devices=1, gib=15.75, teraflops=197, gigabytes_s=819, links=4,
            link_gigabytes_s=50, largest=256, wraps_at=16, multipliers=4 * _SQUARE,
            sources=(_DOCS + "v5e",),
        ),
        _tpu(
            "v5p", "TPU v5", devices=1, gib=95.73, teraflops=459, gigabytes_s=2765, links=6,
            link_gigabytes_s=100, largest=6144, wraps_at=4, multipliers=8 * _SQUARE,
            sources=(_DOCS + "v5p",),
        ),
        _tpu(
            "v6e", "TPU v6 lite", devices=1, gib=31.24, teraflops=918, gigabytes_s=1638, links=4,
            link_gigabytes_s=100, largest=256, wraps_at=16, multipliers=16 * _SQUARE,
            sources=(_DOCS + "v6e", _DOCS + "tpu7x"),
        ),
        _tpu(
            "tpu7x", "TPU7x", devices=2, gib=94.74, teraflops=2307, gigabytes_s=7380, links=6,
            link_gigabytes_s=100, largest=9216, wraps_at=4, multipliers=32 * _SQUARE,
            sources=(_DOCS + "tpu7x",),
        ),
    )
    if chip.name is not None
}  # fmt: skip


def by_kind(kind: str) -> Hardware | None:
    """The hardware behind jax's `device_kind`, if the table has it."""
    return next((chip for chip in TPUS.values() if chip.kind == kind), None)
