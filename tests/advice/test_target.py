"""Devices by the names that people have for them."""

from __future__ import annotations

import pytest

from vitctl.advice import target
from vitctl.errors import UsageError
from vitctl.hardware.gpus import GPUS, gpu_of


@pytest.mark.parametrize(
    ("text", "kind", "count"),
    [
        ("h100:8", "H100", 8),
        ("8xA100", "A100", 8),
        ("A100-40GB:4", "A100 40GB", 4),
        ("a2-highgpu-1g", "A100 40GB", 1),
        ("h100-pcie", "H100 PCIe", 1),
        ("h100-nvl:2", "H100 NVL", 2),
        ("p5.48xlarge", "H100", 8),
        ("b200:16", "B200", 16),
        ("h200-nvl:4", "H200 NVL", 4),
        ("h100-80gb:8", "H100", 8),
        ("a100-sxm4-80gb", "A100", 1),
        ("4xl4", "L4", 4),
        ("rtx4090", "RTX 4090", 1),
        ("rtx-3090:2", "RTX 3090", 2),
        ("4xA10", "A10", 4),
    ],
)
def test_gpus(text, kind, count):
    devices = target.named(text, option="--gpu")
    assert (devices.kind, devices.count) == (kind, count)
    assert devices.memory == int(0.75 * GPUS[kind].memory)


@pytest.mark.parametrize(
    "text", ["v100:8", "h10:8", "h100:0", "", "tpu", "h100-96gb:8", "gb200:4", "l40:8"]
)
def test_unknown_gpus_are_refused_with_a_hint(text):
    with pytest.raises(UsageError) as error:
        target.named(text, option="--gpu")
    assert "H100" in (error.value.hint or "")


@pytest.mark.parametrize(
    ("device_kind", "row"),
    [
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA A100-SXM4-40GB", "A100 40GB"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA A100-PCIE-40GB", "A100 40GB"),
        ("NVIDIA H200 NVL", "H200 NVL"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA A10", "A10"),
    ],
)
def test_jax_s_names(device_kind, row):
    assert gpu_of(device_kind) is GPUS[row]
    assert target.named(row.replace(" ", "-"), option="--gpu").is_kind(device_kind)


def test_slices_are_those_of_plan():
    devices = target.named("v5e:4x4")
    assert (devices.count, devices.kind) == (16, "TPU v5 lite")
    assert devices.is_kind("TPU v5 lite")
    assert not devices.is_kind("TPU v5")
    assert target.named("v3:2x2").devices_per_chip == 2
    assert target.named("8xH100").kind == "H100"  # --topology names GPUs, too


def test_the_machine_s_own_devices():
    devices = target.local()
    assert (devices.kind, devices.hardware) == ("cpu", None)
    assert devices.is_kind("cpu")
