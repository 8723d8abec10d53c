"""Programs that jaxlib compiles and cannot print, as 0.10.2 those of tpu7x: no cycles, no links."""

from __future__ import annotations

import jax
import pytest

from tests.plan.paper_costs import config
from vitctl.events import silent
from vitctl.hardware.tpus import TPUS
from vitctl.plan import candidates as options
from vitctl.plan import compiler, program, search
from vitctl.plan.compiler import Compiler
from vitctl.plan.estimate import estimate
from vitctl.plan.program import Program, StepPlan
from vitctl.sharding.spec import MeshSpec

V5E = TPUS["v5e"]


class Unprintable:
    def as_text(self):
        raise jax.errors.JaxRuntimeError("INTERNAL: RET_CHECK failure")


def test_the_text_of_what_cannot_be_printed_is_none():
    assert program._text(Unprintable()) is None


@pytest.fixture
def option():
    plan = StepPlan(MeshSpec(data=8), "none", None)
    return options.option(config("S/16", batch=64), plan, batch=64, hardware=V5E, devices=8)


def test_links_are_estimated_then_and_no_rate_is_made_of_no_cycles(option, monkeypatch):
    unread = Program(True, 2e12, 3e9, 0, None, 1, 1, 2)
    monkeypatch.setattr(compiler, "compile_step", lambda *args, **options: unread)
    cost = Compiler(None, emit=silent, at_most=2).cost(option, whole=unread, hardware=V5E)
    counted = estimate(option.cfg, option.plan, hardware=V5E, devices=8)
    assert cost.link_seconds == counted.link_seconds > 0
    assert cost.flops == pytest.approx(2e12)
    assert search.rate_of(unread, option, hardware=V5E) is None
