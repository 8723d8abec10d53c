"""The cost of a step that takes its images in parts, from real programs for this machine's CPU."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.plan.paper_costs import config
from vitctl.events import silent
from vitctl.hardware.tpus import TPUS
from vitctl.model.config import ModelConfig
from vitctl.plan import candidates
from vitctl.plan.compiler import Compiler, repeated
from vitctl.plan.cost import Cost
from vitctl.plan.program import Program, StepPlan, Target
from vitctl.plan.topology import local
from vitctl.sharding.spec import MeshSpec

MODEL = ModelConfig(width=64, depth=4, mlp_dim=256, heads=2, patch=8, resolution=64, classes=8)


@pytest.fixture(scope="module")
def costs():
    """The whole program and the cost, by images at a time, of 8 images on one device."""
    topology, devices = local()
    target = Target(replace(topology, devices=1), devices[:1])
    cfg = config("S/16", batch=8).model_copy(update={"model": MODEL, "name": "tiny"})
    compiler = Compiler(target, emit=silent, at_most=9)
    values = {}
    for part in (None, 2):
        plan = StepPlan(MeshSpec(1), "none", part)
        option = candidates.option(cfg, plan, batch=8, hardware=TPUS["v3"], devices=1)
        whole = compiler.whole(option)
        values[part] = whole, compiler.cost(option, whole=whole, hardware=TPUS["v3"])
    return values


@pytest.mark.slow
def test_parts_do_the_same_work(costs):
    """A loop's body is counted once by XLA, so what it says of the program is a quarter; the cost
    is of all four parts, and of the update as often (a few operations a weight)."""
    (whole, at_once), (parted, in_parts) = costs[None], costs[2]
    assert in_parts.flops == pytest.approx(at_once.flops, rel=0.1)
    assert parted.flops < 0.6 * whole.flops


@pytest.mark.slow
def test_parts_read_the_weights_again_and_update_them_once(costs):
    (_, at_once), (_, in_parts) = costs[None], costs[2]
    assert at_once.bytes < in_parts.bytes < 2 * at_once.bytes


@pytest.mark.slow
def test_parts_need_less_memory(costs):
    (whole, _), (parted, _) = costs[None], costs[2]
    assert parted.temporaries < 0.6 * whole.temporaries


def test_the_time_on_the_links_is_that_of_the_program_that_runs():
    """With weights divided every part gathers them again; a shallow program of one only once."""
    one = Cost(1e12, 1e9, None, 0.02, 0.01, 0.005)
    whole = Program(True, 1.0, 1.0, 1, 0.017, 1, 1, 2)
    cfg = config("S/16", batch=64)
    option = candidates.option(
        cfg, StepPlan(MeshSpec(8), "none", 2), batch=64, hardware=TPUS["v3"], devices=8
    )
    result = repeated(one, 4, option, whole=whole, hardware=TPUS["v3"])
    assert result.link_seconds == 0.017
    assert result.compute_seconds == 4 * 0.02
    unknown = repeated(one, 4, option, whole=replace(whole, link_seconds=None), hardware=TPUS["v3"])
    assert unknown.link_seconds == 0.005
