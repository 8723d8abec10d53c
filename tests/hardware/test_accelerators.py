"""Names that clouds have for slices, against the rows of the vendor's own tables."""

from __future__ import annotations

import math
import re

import pytest

from vitctl.doctor import devices
from vitctl.errors import UsageError
from vitctl.hardware import accelerators
from vitctl.hardware.gpus import gpu_named
from vitctl.hardware.tpus import TPUS
from vitctl.plan.topology import gpus, parse

# Topology, cores and chips of https://docs.cloud.google.com/tpu/docs/v5p (single slices).
V5P = """
2x2x1 8 4; 2x2x2 16 8; 2x4x4 64 32; 4x4x4 128 64; 4x4x8 256 128; 4x8x8 512 256; 8x8x8 1024 512;
8x8x16 2048 1024; 8x16x16 4096 2048; 16x16x16 8192 4096; 16x16x24 12288 6144
"""
# Topology and chips of https://cloud.google.com/tpu/docs/supported-versions, v5e.
V5E = "1x1 1; 2x2 4; 2x4 8; 4x4 16; 4x8 32; 8x8 64; 8x16 128; 16x16 256"


def rows(table: str) -> list[list[str]]:
    return [row.split() for row in table.split(";")]


@pytest.mark.parametrize(("shape", "cores", "chips"), rows(V5P))
def test_the_number_in_a_name_of_v5p_and_v4_counts_cores(shape, cores, chips):
    assert parse(f"v5p-{cores}") == parse(f"v5p:{shape}")
    assert parse(f"v5p-{cores}").devices == int(chips)
    if int(chips) <= TPUS["v4"].largest:
        assert parse(f"v4-{cores}") == parse(f"v4:{shape}")


@pytest.mark.parametrize(("shape", "chips"), rows(V5E))
def test_the_number_in_a_name_of_v5e_and_v6e_counts_chips(shape, chips):
    for name in (f"v5e-{chips}", f"v5litepod-{chips}", f"v5lite-{chips}"):
        assert parse(name) == parse(f"v5e:{shape}")
    assert parse(f"v6e-{chips}") == parse(f"v6e:{shape}")


@pytest.mark.parametrize(
    ("name", "topology", "devices"),
    [
        ("v4-32", "v4:2x2x4", 16),
        ("V4-32", "v4:2x2x4", 16),
        ("v3-8", "v3:2x2", 8),
        ("v3-32", "v3:4x4", 32),
        ("v3-2048", "v3:32x32", 2048),
        ("v5p-384", "v5p:4x4x12", 192),
        ("tpu7x-128", "tpu7x:4x4x4", 128),
        ("tpu-v4-16", "v4:2x2x2", 8),
        ("ct5lp-hightpu-8t", "v5e:2x4", 8),
        ("ct6e-standard-4t", "v6e:2x2", 4),
        ("tpu7x-standard-4t", "tpu7x:2x2x1", 8),
        ("v4-2x2x4", "v4:2x2x4", 16),
        ("tpu-v5p-slice:2x2x4", "v5p:2x2x4", 16),
    ],
)
def test_names_are_slices(name, topology, devices):
    parsed = parse(name)
    assert (parsed.name, parsed.devices) == (topology, devices)


@pytest.mark.parametrize("name", TPUS)
def test_every_size_is_the_product_of_a_shape_that_parses(name):
    chip = TPUS[name]
    sizes = accelerators.sizes(chip)
    assert sizes[-1] == chip.largest
    for chips in sizes:
        shape = accelerators.box(chip, chips)
        assert math.prod(shape) == chips
        assert list(shape) == sorted(shape) or shape == (2, 2, 1)
        assert parse(f"{name}:{'x'.join(map(str, shape))}").shape == shape
        assert parse(f"{name}-{accelerators.number_of(chip, chips)}").shape == shape


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("v4-24", r"v4-16 \(v4:2x2x2\) or v4-32 \(v4:2x2x4\)"),
        ("v4-1", r"take v4-8 \(v4:2x2x1\)"),
        ("v5e-512", r"take v5e-256 \(v5e:16x16\)"),
        ("v5e-3", r"v5e-1 \(v5e:1x1\) or v5e-4 \(v5e:2x2\)"),
        ("v2-8", r"v3-8 \(v3:2x2\)"),
        ("v5x-8", "did you mean v5"),
        ("4x4", "v3:32x32 or v4-32"),
    ],
)
def test_what_is_not_sold_names_the_nearest(name, hint):
    with pytest.raises(UsageError) as raised:
        parse(name)
    assert raised.match(name)
    assert re.search(hint, raised.value.hint)


@pytest.mark.parametrize(
    ("name", "kind", "count"),
    [
        ("a3-highgpu-8g", "H100", 8),
        ("a2-ultragpu-4g", "A100 80GB", 4),
        ("8xH100", "H100", 8),
        ("8 x h100", "H100", 8),
        ("h100:8", "H100", 8),
        ("A100-80GB:4", "A100-80GB", 4),
        ("H100", "H100", 1),
        ("RTX4090", "RTX4090", 1),
        ("p5.48xlarge", "H100", 8),
        ("Standard_ND96isr_H100_v5", "H100", 8),
        ("NC48ads_A100_v4", "A100 80GB", 2),
        ("a2-highgpu-1g", "A100 40GB", 1),
        ("g2-standard-4", "L4", 1),
        ("g2-standard-24", "L4", 2),
        ("p4d", "A100 40GB", 8),
        ("p4d.24xl", "A100 40GB", 8),
        ("p5", "H100", 8),
        ("p5.4xlarge", "H100", 1),
        ("ml.p5en.48xlarge", "H200", 8),
        ("g6.xlarge", "L4", 1),
        ("g6e.12xlarge", "L40S", 4),
        ("dgx-a100-320gb", "A100 40GB", 8),
        ("NVIDIA DGX H100", "H100", 8),
        ("DGX_B200", "B200", 8),
        ("gpu:h100:8", "H100", 8),
        ("gpu_8x_h100_sxm5", "H100_SXM5", 8),
        ("BM.GPU.A100-v2.8", "A100 80GB", 8),
        ("VM.GPU.A10.2", "A10", 2),
        ("8 H100s", "H100", 8),
        ("8xL40S", "L40S", 8),
        ("8 x L40S", "L40S", 8),
        ("8 L40Ss", "L40S", 8),
        ("l40s:4", "L40S", 4),
        ("4xL4", "L4", 4),
        ("8 x A100", "A100", 8),
        ("8xA100-80GB", "A100-80GB", 8),
        ("8\N{MULTIPLICATION SIGN}H100", "H100", 8),
        ("8-H100", "H100", 8),
        ("rtx4090x8", "RTX4090", 8),
        ("nvidia-h100-80gb", "H100-80GB", 1),
        ("8x NVIDIA H100 80GB HBM3", "H100 80GB HBM3", 8),
        ("NVIDIA GeForce RTX 4090", "RTX 4090", 1),
    ],
)
def test_gpus_are_recognised_and_can_be_planned_for(name, kind, count):
    assert accelerators.gpus(name) == accelerators.Gpus(kind, count)
    parsed = parse(name)
    assert (parsed.devices, parsed.is_gpus) == (count, True)
    assert parsed.hardware is gpu_named(kind)


@pytest.mark.parametrize(
    "name",
    [
        "v100:8", "mi300x", "t4", "gb200:4", "g5.xlarge", "p3dn.24xlarge", "a4x-highgpu-4g",
        "8xL40", "8xA30", "8xGH200", "8xH20", "8xA10G", "8xRTX A6000", "8xRTX PRO 6000",
        "RTX 3090 Ti", "4xRTX4090D", "p3", "g4dn", "g4dn.metal", "g5", "g5.3xlarge", "g5:2",
    ],
)  # fmt: skip
def test_gpus_of_which_no_peak_is_known_are_planned_for_where_they_are(name):
    with pytest.raises(UsageError, match="no peak, bandwidth and memory are known") as raised:
        parse(name)
    assert "--topology local" in raised.value.hint


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("dgx-a100", "a100-40gb:8 or a100-80gb:8"),
        ("NVIDIA DGX A100", "a100-40gb:8 or a100-80gb:8"),
        ("g6e", "g6e.48xlarge"),
        ("g6e:2", "g6e.48xlarge"),
        ("g6.3xlarge", "g6.48xlarge"),
        ("ml.g6.metal", "g6.48xlarge"),
        ("p5.2xlarge", "p5.48xlarge"),
        ("g2-standard-5", "g2-standard-96 has 8 x L4"),
    ],
)
def test_a_name_of_several_machines_is_answered_with_one_of_them(name, hint):
    for named in (parse, gpus):
        with pytest.raises(UsageError, match=r"which machine it is|is not known") as raised:
            named(name)
        assert hint in raised.value.hint
    for spelling in re.findall(r"\S+:8|\S+\.48xlarge|g2-standard-96", hint):
        assert accelerators.gpus(spelling).count == 8


@pytest.mark.parametrize("kind", ["h100", "l40s", "l4", "a100", "rtx 4090", "b200"])
@pytest.mark.parametrize(
    "form", ["{}:8", "8x{}", "8 x {}", "8*{}", "8 {}", "8 {}s", "{}x8", "{} x 8"]
)
def test_forms_of_a_number_are_those_of_every_gpu(form, kind):
    for name in (form.format(kind), form.format(kind.upper())):
        assert accelerators.gpus(name) == accelerators.Gpus(kind.upper(), 8)


@pytest.mark.parametrize(
    ("name", "hint"), [("2x8xH100", "h100:16"), ("4 x 4 x A100 40GB", "a100-40gb:16")]
)
def test_machines_times_gpus_are_answered_with_all_gpus(name, hint):
    for named in (parse, gpus):
        with pytest.raises(UsageError, match="has two numbers") as raised:
            named(name)
        assert raised.value.hint == f"give that of all GPUs: {hint}"
    assert parse(hint).devices == 16


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("p5.48xlarge:2", "one is h100:8, 2 are h100:16"),
        ("p5.48xlarge:8", "one is h100:8, 8 are h100:64"),
        ("2x p5.48xlarge", "one is h100:8, 2 are h100:16"),
        ("2xdgx-h100", "one is h100:8, 2 are h100:16"),
        ("dgx-h100:4", "one is h100:8, 4 are h100:32"),
        ("p4d:16", "one is a100-40gb:8, 16 are a100-40gb:128"),
        ("g6.12xlarge:1", "one is l4:4, 2 are l4:8"),
    ],
)
def test_machines_with_a_number_are_answered_with_gpus(name, hint):
    for named in (parse, gpus):
        with pytest.raises(UsageError, match=r"is a machine of \d GPUs? and a number") as raised:
            named(name)
        assert raised.value.hint == hint
    for spelling in re.findall(r"\S+:\d+", hint.replace(",", "")):
        assert parse(spelling).is_gpus


def test_examples_of_several_machines_can_be_planned_for():
    for hint in accelerators._SEVERAL.values():
        for spelling in re.findall(r"[\w-]+:8|\w+\.\d*xlarge|g2-standard-\d+", hint):
            assert parse(spelling).devices == 8


@pytest.mark.parametrize("name", ["v4-32", "v3:4x4", "local", "xh100", "banana", "8x"])
def test_what_is_no_gpu_is_not_taken_for_one(name):
    assert accelerators.gpus(name) is None


def test_doctor_says_which_slice_a_machine_is_part_of(monkeypatch):
    monkeypatch.setenv("TPU_ACCELERATOR_TYPE", "v4-32")
    result = devices._of_slice()
    assert "16 devices" in result
    assert "--topology v4:2x2x4" in result
    monkeypatch.setenv("TPU_ACCELERATOR_TYPE", "v99-32")
    assert devices._of_slice() == ""
