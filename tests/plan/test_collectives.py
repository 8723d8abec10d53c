"""Collectives read off HLO, and the time of a ring by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from vitctl.hardware.tpus import TPUS
from vitctl.plan import hlo
from vitctl.plan.collectives import Collective, read, seconds, wire_bytes

# As libtpu 0.0.52 writes them, shortened.
MODULE = """HloModule jit_step, is_scheduled=true

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum = f32[] add(%a, %b)
}

%condition (p: (s32[], f32[8,128])) -> pred[] {
  %twelve = s32[]{:T(256)} constant(12)
  %p = (s32[], f32[8,128]) parameter(0)
  %i = s32[] get-tuple-element(%p), index=0
  ROOT %lt = pred[] compare(%i, %twelve), direction=LT
}

%body (p.1: (s32[], f32[8,128])) -> (s32[], f32[8,128]) {
  %p.1 = (s32[], f32[8,128]) parameter(0)
  %ar = (bf16[4,128]{1,0:T(8,128)(2,1)}, /*index=1*/f32[2,2]{1,0}) all-reduce(%x, %y), channel_id=1, replica_groups=mesh['data'=4,'zero'=2] {'zero'}, to_apply=%add
  %f = f32[8,128] fusion(%ar), kind=kLoop, calls=%fused, backend_config={"estimated_cycles":"100"}
  ROOT %t = (s32[], f32[8,128]) tuple(%i, %f)
}

%fused (q: f32[8,128]) -> f32[8,128] {
  ROOT %q = f32[8,128] parameter(0)
}

%all-reduce-scatter.1 (r: f32[16,128]) -> f32[16,128] {
  %r = f32[16,128] parameter(0)
  ROOT %inner = f32[16,128] all-reduce(%r), replica_groups=[4,2]<=[8], to_apply=%add
}

ENTRY %main (s: f32[8,128]) -> f32[8,128] {
  %s = f32[8,128] parameter(0)
  %loop = (s32[], f32[8,128]) while(%start), condition=%condition, body=%body
  %scatter = f32[2,128] fusion(%s), kind=kCustom, calls=%all-reduce-scatter.1, backend_config={"estimated_cycles":"7"}
  %gather = (bf16[4,8]{1,0}, bf16[8,8]{1,0}) all-gather-start(%s), replica_groups=[2,4]<=[4,2]T(1,0), dimensions={0}
  %done = bf16[8,8] all-gather-done(%gather)
  %permuted = f32[32] collective-permute(%s), source_target_pairs={{0,1},{1,0}}
  %listed = f32[2,4] reduce-scatter(%s), replica_groups={{0,3},{1,2}}, to_apply=%add
  ROOT %all = f32[10] all-reduce(%s), replica_groups={}, to_apply=%add
}
"""  # noqa: E501


def test_every_collective_is_read_as_often_as_it_runs():
    assert read(MODULE) == [
        Collective("all-reduce", 4 * 128 * 2 + 4 * 4, (0, 1), times=12),
        Collective("reduce-scatter", 16 * 128 * 4, (0, 1)),
        # [4,2] transposed: 0 2 4 6 | 1 3 5 7
        Collective("all-gather", (4 * 8 * 2 + 8 * 8 * 2) * 4 // 5, (0, 2, 4, 6)),
        Collective("collective-permute", 32 * 4, ()),
        Collective("reduce-scatter", 2 * 4 * 4 * 2, (0, 3)),
        Collective("all-reduce", 40, ()),
    ]


def test_real_asynchronous_collectives_are_counted_once():
    """Cut from what libtpu 0.0.52 makes of a step with fsdp=4 on v5e:2x4: a gather of the head's
    [512, 8] kernel in bf16, written three times (start, beside a fusion, done); one of a [512, 4,
    128] kernel that nothing hides; the gradient of a [2048, 512] kernel, summed and sliced; the
    gradients of one device's parts, summed over the other axis."""
    text = (Path(__file__).parent / "v5e_fsdp.hlo").read_text()
    assert text.count("channel_id=43,") == 3
    parts = 128 * 8 + 4 * 128 * 128 * 4 + 2048 * 128 + 512 * 512
    assert read(text) == [
        Collective("all-gather", 512 * 4 * 128 * 2, (0, 1, 2, 3)),
        Collective("all-gather", 512 * 8 * 2, (0, 1, 2, 3)),
        Collective("reduce-scatter", 2048 * 512 * 4, (0, 1, 2, 3)),
        Collective("all-reduce", parts * 2, (0, 4)),
    ]


def test_a_mesh_axis_is_a_group_with_a_stride():
    line = MODULE.replace("{'zero'}", "{'data'}")
    assert read(line)[0].group == (0, 2, 4, 6)


def test_cycles_count_loops():
    assert hlo.cycles(MODULE) == 12 * 100 + 7


def test_a_loop_that_xla_knows_needs_no_condition():
    """XLA for CPUs writes the number of rounds down."""
    known = MODULE.replace(
        "body=%body", 'body=%body, backend_config={"known_trip_count":{"n":"3"}}'
    )
    assert hlo.cycles(known) == 3 * 100 + 7


@pytest.mark.parametrize(
    "change",
    [("direction=LT", "direction=GT"), ("ENTRY ", ""), ("constant(12)", "constant({1, 2})")],
    ids=["another condition", "no entry", "no constant"],
)
def test_what_is_not_understood_is_no_number(change):
    with pytest.raises(ValueError, match=r"rounds|entry"):
        hlo.cycles(MODULE.replace(*change))


def test_groups_that_are_not_understood_are_no_number():
    with pytest.raises(ValueError, match="groups"):
        read(MODULE.replace("replica_groups={{0,3},{1,2}}", "replica_groups=@new"))


def test_a_ring_by_hand():
    """8 devices, 1000 bytes: an all-reduce sends 2 · 7/8 of it from each, the others half that."""
    assert wire_bytes(Collective("all-reduce", 1000, ()), members=8) == 1750
    assert wire_bytes(Collective("all-gather", 1000, ()), members=8) == 875
    assert wire_bytes(Collective("reduce-scatter", 1000, ()), members=8) == 875
    assert wire_bytes(Collective("collective-permute", 1000, ()), members=8) == 1000


# A v3 slice of 4x2 chips: two cores a chip, so 16 devices.
SHAPE = (4, 2)
COORDINATES = [(x, y) for y in range(2) for x in range(4) for _ in range(2)]


def time_of(group, *, shape=SHAPE, coordinates=COORDINATES, times=1):
    collective = Collective("all-reduce", 10**9, group, times)
    return seconds([collective], hardware=TPUS["v3"], coordinates=coordinates, shape=shape)


def test_links_of_all_chips():
    """8 chips with one ring over both axes; a slice of 4x2 closes neither, so one lane each."""
    link = TPUS["v3"].link_bandwidth
    assert time_of(()) == pytest.approx(2 * 7 / 8 * 1e9 / (2 * link))
    assert time_of((), times=3) == pytest.approx(3 * time_of(()))


def test_cores_of_one_chip_use_no_link():
    assert time_of((0, 1)) == 0


def test_half_of_each_chip_shares_the_links_with_the_other_half():
    """Cores 0, 2, 4, 6 lie on four chips in a row; the second cores have a ring of their own."""
    link = TPUS["v3"].link_bandwidth
    assert time_of((0, 2, 4, 6)) == pytest.approx(2 * 3 / 4 * 1e9 * 2 / link)


def test_an_axis_that_closes_has_two_lanes():
    shape = (32, 32)
    coordinates = [(x, y) for y in range(32) for x in range(32) for _ in range(2)]
    link = TPUS["v3"].link_bandwidth
    whole = time_of((), shape=shape, coordinates=coordinates)
    assert whole == pytest.approx(2 * 1023 / 1024 * 1e9 / (4 * link))


def test_a_loop_that_goes_on_until_a_number_is_right_counts_once():
    """As drawing mixup's weight does; a scan counts as often as its condition says."""
    module = """ENTRY %main (p: f32[1]) -> f32[1] {
  %a = f32[1]{0} while(%p), condition=%refused, body=%draw
  ROOT %b = f32[1]{0} while(%a), condition=%below, body=%layer
}
%refused (p: f32[1]) -> pred[] {
  %half = f32[1]{0:T(128)} constant({0.5})
  %p = (f32[1]{0:T(128)}, u32[1]{0}) parameter(0)
  ROOT %ge = pred[] compare(%p, %half), direction=GE
}
%draw (p: f32[1]) -> f32[1] {
  ROOT %drawn = f32[1]{0} log(%p)
}
%below (p: (s32[], f32[1])) -> pred[] {
  %three = s32[]{:T(128)} constant(3)
  ROOT %lt = pred[] compare(%i, %three), direction=LT
}
%layer (p: f32[1]) -> f32[1] {
  ROOT %x = f32[1]{0} exponential(%p)
}
"""
    times = {line.computation: line.times for line in hlo.lines(module)}
    assert (times["draw"], times["layer"]) == (1, 3)
    unknown = module.replace("s32[]{:T(128)} constant(3)", "s32[]{:T(128)} parameter(0)")
    with pytest.raises(ValueError, match="not a constant"):
        list(hlo.lines(unknown))
