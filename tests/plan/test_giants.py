"""The paper's largest models on the paper's hardware: they fit, and how fast they are."""

from __future__ import annotations

import pytest

from tests.plan import paper_costs
from vitctl.plan.program import StepPlan, Target, compile_step
from vitctl.sharding.spec import MeshSpec

USABLE = 15.48 * 2**30
"""What libtpu says a TPUv3 core has for a program."""

MESH = MeshSpec(32, fsdp=64)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "images", "peak"), [("G/14", 16, 7.36), ("g/14", 32, 9.62)])
def test_the_paper_s_giants_fit_a_core(absent, name, images, peak):
    """Full depth, 2048 cores, bf16, 29,593 classes, MAP head, Adafactor, no weight's product
    computed twice. `peak`, in GiB, was measured on 2026-11-24; another compiler may move it."""
    topology, devices = absent("v3:32x32")
    cfg = paper_costs.config(name, batch=images * MESH.batch_shards)
    assert (cfg.model.classes, cfg.model.head, cfg.optim.name) == (29_593, "map", "adafactor")
    assert cfg.precision == "bfloat16"
    program = compile_step(cfg, StepPlan(MESH, "dots"), target=Target(topology, devices))
    assert program.fits
    assert program.peak < USABLE
    assert program.peak / 2**30 == pytest.approx(peak, rel=0.1)


@pytest.mark.slow
def test_one_token_more_pads_to_half_as_many_again(absent):
    """256 tokens are two tiles of 128 lanes, 257 are three: the reason for the MAP head."""
    topology, devices = absent("v3:1x1")
    temporaries = {}
    for head in ("map", "token"):
        cfg = paper_costs.config("B/16", batch=32 * len(devices))
        sizes = {"head": head, "patch": 14, "depth": 4, "classes": 10}
        cfg = cfg.model_copy(update={"model": cfg.model.model_copy(update=sizes)})
        plan = StepPlan(MeshSpec(len(devices)), "none")
        program = compile_step(cfg, plan, target=Target(topology, devices))
        temporaries[head] = program.temporaries
    assert temporaries["token"] > 1.15 * temporaries["map"]
