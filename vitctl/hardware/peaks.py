"""What devices can do at most, for a share of it that means something (MFU).

Dense bf16 FLOP/s of one jax device: of TPUs, the table that `plan` counts with (`tpus`); of GPUs,
the makers' data sheets (`gpus`). Checked against the tables of torchtitan and MaxText, 2026-11.
"""

from __future__ import annotations

from vitctl.hardware.gpus import gpu_of
from vitctl.hardware.tpus import TPUS

_TERA = 1e12

# By `device_kind`; of several that a kind begins with, the longest counts.
_TPU = {chip.kind: chip.flops for chip in TPUS.values()} | {
    "TPU v2": 22.5 * _TERA,  # half a chip's 45; too old for libtpu to plan for
    "TPU v5e": TPUS["v5e"].flops,
    "TPU v6e": TPUS["v6e"].flops,
}


def peak_flops(device_kind: str) -> float | None:
    """bf16 FLOP/s of one device, None where none is published here (a CPU, an unknown kind)."""
    begins = [kind for kind in _TPU if device_kind.startswith(kind)]
    if begins:
        return _TPU[max(begins, key=len)]
    gpu = gpu_of(device_kind)
    return None if gpu is None else gpu.flops
