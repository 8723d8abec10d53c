from __future__ import annotations

import pytest

from vitctl.hardware.peaks import peak_flops


@pytest.mark.parametrize(
    ("kind", "tera"),
    [
        ("TPU v2", 22.5),
        ("TPU v3", 61.5),
        ("TPU v4", 275),
        ("TPU v5 lite", 197),
        ("TPU v5", 459),
        ("TPU v5p", 459),
        ("TPU v5e", 197),
        ("TPU v6 lite", 918),
        ("TPU v6e", 918),
        ("TPU7x", 1153.5),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA A100-SXM4-40GB", 312),
    ],
)
def test_kinds_as_jax_names_them(kind, tera):
    assert peak_flops(kind) == tera * 1e12


@pytest.mark.parametrize(
    "kind",
    [
        "cpu",
        "TPU v9",
        "NVIDIA GeForce GTX 970",
        "NVIDIA RTX A1000 Laptop GPU",
        "NVIDIA GH200 480GB",
        "NVIDIA GB200",
        "NVIDIA L40",
        "NVIDIA A10G",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce RTX 3090 Ti",
        "",
    ],
)
def test_no_number_is_made_up(kind):
    assert peak_flops(kind) is None
