"""What devices can do at most, for a share of it that means something (MFU).

Dense bf16 FLOP/s of one jax device, as their makers publish it: Google's pages of each TPU at
https://cloud.google.com/tpu/docs/system-architecture-tpu-vm, NVIDIA's data sheets (there halved
where only the number with sparsity is printed). Checked against the tables of torchtitan and
MaxText, 2026-11. A TPU v2, v3 or 7x chip is two devices to jax, so they have half a chip's.
"""

from __future__ import annotations

_TERA = 1e12

# By `device_kind`; of several that a kind begins with, the longest counts.
_TPU = {
    "TPU v2": 22.5,
    "TPU v3": 61.5,
    "TPU v4": 275,
    "TPU v5 lite": 197,
    "TPU v5e": 197,
    "TPU v5": 459,
    "TPU v6 lite": 918,
    "TPU v6e": 918,
    "TPU7x": 1153.5,
}
# By a word in `device_kind`; the first that is there counts.
_GPU = {
    "H100 NVL": 835,
    "H100 PCIe": 756,
    "H100": 989,
    "H200": 989,
    "B200": 2250,
    "A100": 312,
    "L40S": 362,
}


def peak_flops(device_kind: str) -> float | None:
    """bf16 FLOP/s of one device, None where none is published here (a CPU, an unknown kind)."""
    begins = [kind for kind in _TPU if device_kind.startswith(kind)]
    if begins:
        return _TPU[max(begins, key=len)] * _TERA
    return next((peak * _TERA for word, peak in _GPU.items() if word in device_kind), None)
