"""What GPUs can do, by NVIDIA's data sheets. Imports no array library."""

from __future__ import annotations

import re

from vitctl.hardware.tpus import Hardware

_SHEETS = "https://www.nvidia.com/en-us/data-center/"
_ADA = "https://images.nvidia.com/aem-dam/Solutions/geforce/ada/nvidia-ada-gpu-architecture.pdf"
_AMPERE = (
    "https://www.nvidia.com/content/PDF/nvidia-ampere-ga-102-gpu-architecture-whitepaper-v2.pdf"
)
NODE = 8
"""GPUs of a machine as NVIDIA and the clouds build them."""
GBIT = 1e9 / 8
"""Bytes/s of a Gbit/s."""


def _gpu(
    kind: str,
    *,
    gigabytes: float,
    teraflops: float,
    gigabytes_s: float,
    link: float,
    sheet: str,
    network: float | None = None,
) -> Hardware:
    """A row of a data sheet: dense bf16 with sums in fp32 (half of a number with sparsity), memory
    and its bandwidth in decimal units, what one GPU sends to the others of its machine (half of a
    number that counts both directions), and Gbit/s of the adapter that each GPU of NVIDIA's DGX
    has (ConnectX-6 or 7)."""
    return Hardware(
        name=None,
        kind=kind,
        devices_per_chip=1,
        memory=int(gigabytes * 1e9),
        flops=teraflops * 1e12,
        bandwidth=gigabytes_s * 1e9,
        links=1,
        link_bandwidth=link * 1e9,
        largest=8,
        wraps_at=1,
        hertz=None,
        sources=(sheet if "://" in sheet else _SHEETS + sheet,),
        node=NODE,
        network=None if network is None else network * GBIT,
    )


GPUS: dict[str, Hardware] = {
    row.kind: row
    for row in (
        _gpu("H100 NVL", gigabytes=94, teraflops=835, gigabytes_s=3900, link=300, sheet="h100"),
        _gpu("H100 PCIe", gigabytes=80, teraflops=756, gigabytes_s=2000, link=64, sheet="h100"),
        _gpu(
            "H100", gigabytes=80, teraflops=989, gigabytes_s=3350, link=450, sheet="h100",
            network=400,
        ),
        _gpu("H200 NVL", gigabytes=141, teraflops=835, gigabytes_s=4800, link=450, sheet="h200"),
        _gpu(
            "H200", gigabytes=141, teraflops=989, gigabytes_s=4800, link=450, sheet="h200",
            network=400,
        ),
        _gpu(
            "B200", gigabytes=180, teraflops=2250, gigabytes_s=8000, link=900, sheet="dgx-b200",
            network=400,
        ),
        _gpu(
            "A100 40GB", gigabytes=40, teraflops=312, gigabytes_s=1555, link=300, sheet="a100",
            network=200,
        ),
        _gpu(
            "A100", gigabytes=80, teraflops=312, gigabytes_s=2039, link=300, sheet="a100",
            network=200,
        ),
        _gpu(
            "A10", gigabytes=24, teraflops=125, gigabytes_s=600, link=32, sheet="products/a10-gpu",
        ),
        _gpu("L40S", gigabytes=48, teraflops=362, gigabytes_s=864, link=32, sheet="l40s"),
        _gpu("L4", gigabytes=24, teraflops=121, gigabytes_s=300, link=32, sheet="l4"),
        # Of these the sheets call bf16 with sums in fp32 half of what sums in fp16 reach.
        _gpu("RTX 4090", gigabytes=24, teraflops=165.2, gigabytes_s=1008, link=32, sheet=_ADA),
        _gpu("RTX 3090", gigabytes=24, teraflops=71, gigabytes_s=936, link=32, sheet=_AMPERE),
    )
}  # fmt: skip
"""By name. Of H100 and A100 without more words the one on a board of 8 (SXM, 80 GB)."""

USABLE = 0.75
"""Of a GPU's memory jax takes this share by default:
https://docs.jax.dev/en/latest/gpu_memory_allocation.html"""


_OTHERS = {"LAPTOP", "D", "TI", "SUPER"}
"""Words behind the name of a GPU that make it another: RTX 4090 Laptop GPU, RTX 4090 D,
RTX 3090 Ti."""


def gpu_of(device_kind: str) -> Hardware | None:
    """The row of jax's `device_kind`, as in "NVIDIA H100 80GB HBM3" or "NVIDIA A100-SXM4-40GB".

    By whole words: an RTX A1000, a GH200 and a GB200 are none of the GPUs in whose names they
    begin or end.
    """
    tokens = set(_tokens(device_kind))
    if tokens & _OTHERS:
        return None
    return next((row for kind, row in GPUS.items() if tokens.issuperset(_tokens(kind))), None)


def gpu_named(name: str) -> Hardware | None:
    """The row of a name that begins with the GPU's, as in "H100-80GB" or "a100 sxm4"; None also
    where it has another size of memory than the row."""
    first, *others = _tokens(name)
    row = gpu_of(name)
    if row is None or _tokens(row.kind)[0] != first:
        return None
    assert row.memory is not None  # of the table
    sizes = {token for token in others if re.fullmatch(r"\d+GB", token)}
    return row if sizes <= {f"{row.memory // 10**9}GB"} else None


def _tokens(name: str) -> list[str]:
    apart = re.sub(r"\bRTX(?=\d)", "RTX ", name.upper())  # as in rtx4090
    return re.split(r"[\s_-]+", apart)
