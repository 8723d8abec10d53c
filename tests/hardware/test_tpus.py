"""The table of chips, and how slices are named."""

from __future__ import annotations

import math

import pytest

from vitctl.errors import UsageError
from vitctl.hardware.tpus import GIB, TPUS, by_kind
from vitctl.plan.topology import parse


@pytest.mark.parametrize("chip", TPUS.values(), ids=TPUS)
def test_every_row_is_complete_and_says_where_from(chip):
    assert chip.sources
    assert all(source.startswith("https://") for source in chip.sources)
    assert by_kind(chip.kind) is chip
    assert 7 * GIB < chip.memory < 192 * GIB
    assert 1e14 / 2 < chip.flops < 2e15
    assert 4e11 < chip.bandwidth < 8e12
    assert chip.links in (4, 6)
    # Clocks of these chips; a wrong number of multipliers would be off by a power of two.
    assert 0.9e9 < chip.hertz < 2.3e9


def test_a_v3_core_is_the_one_of_the_paper():
    """61.5 TFLOP/s, half of a chip's 123, and 15.48 of 16 GiB."""
    v3 = TPUS["v3"]
    assert (v3.flops, v3.devices_per_chip) == (61.5e12, 2)
    assert v3.memory / GIB == pytest.approx(15.48)
    assert v3.hertz == pytest.approx(940e6, rel=0.01)  # the clock that is published


def test_links_add_up_to_the_pod_s_all_reduce_bandwidth():
    """340 TB/s over 1024 chips (v3), 51.2 TB/s over 256 (v5e), 102.4 (v6e): the vendor's tables."""
    for name, chips, total in (("v3", 1024, 340e12), ("v5e", 256, 51.2e12), ("v6e", 256, 102.4e12)):
        chip = TPUS[name]
        assert chips * chip.links * chip.link_bandwidth == pytest.approx(total, rel=0.01)


@pytest.mark.parametrize(
    ("text", "name", "devices"),
    [
        ("v3:32x32", "v3:32x32", 2048),
        ("V3:2x2", "v3:2x2", 8),
        ("v4:4x4", "v4:4x4x1", 16),
        ("v5litepod:16x16", "v5e:16x16", 256),
        ("v5p:8x8x8", "v5p:8x8x8", 512),
        ("v5p:16x16x24", "v5p:16x16x24", 6144),
        ("tpu7x:4x4x4", "tpu7x:4x4x4", 128),
        ("v5e:1x1", "v5e:1x1", 1),
    ],
)
def test_slices(text, name, devices):
    topology = parse(text)
    assert (topology.name, topology.devices) == (name, devices)
    assert math.prod(topology.shape) * topology.hardware.devices_per_chip == devices


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("v8:4x4", "unknown chip 'v8'", "did you mean"),
        ("dojo", "unknown chip 'dojo'", "chips are v3"),
        ("lokal", "unknown chip 'lokal'", "did you mean local?"),
        ("v3", "has no shape", "v3:4x4"),
        ("v3:", "has no shape", "v3:4x4"),
        ("v3:0x4", "has no shape", "v3:4x4"),
        ("v3:4x-4", "has no shape", "v3:4x4"),
        ("v3:3x5", "hosts of 2x2 chips", "take v3:4x6"),
        ("v3:4x4x4", "lie in 2 dimensions", "v3:4x4"),
        ("v3:34x34", "1,156 chips, and the largest slice of v3 has 1,024", "plan one slice"),
        ("v5e:16x32", "512 chips", "plan one slice"),
        ("v4:4", "lie in 3 dimensions", "v4:4x4x4"),
        ("", "unknown chip ''", "chips are"),
        ("h100:", "no number of GPUs", "h100:8"),
        ("h100:-1", "no number of GPUs", "h100:8"),
        ("h100:1000000", "no number of GPUs", "h100:8"),
    ],
)
def test_what_is_no_slice_is_refused_with_a_hint(text, says, hint):
    with pytest.raises(UsageError, match=says) as caught:
        parse(text)
    assert hint in caught.value.hint
