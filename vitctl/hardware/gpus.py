"""What GPUs can do at most, by NVIDIA's data sheets. Imports no array library."""

from __future__ import annotations

GPU_FLOPS = {
    "H100 NVL": 835e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "H200": 989e12,
    "B200": 2250e12,
    "A100": 312e12,
    "L40S": 362e12,
}
"""Dense bf16 FLOP/s by a word in jax's `device_kind`; the first that matches counts. Where a sheet
prints only the number with sparsity, half of it."""
