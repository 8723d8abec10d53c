"""How long the rest of a sweep takes."""

from __future__ import annotations

import pytest

from stages.sweep.grid import expand
from stages.sweep.pace import SweepPace
from stages.sweep.plan import SweepPlan
from stages.sweep.trunks import searches_of
from tests.stages.sweep.grids import IMAGES, config


class NoCosts:
    def seconds(self, cfg, *, images):
        return None

    def basis(self, cfg):
        return None


def plan_of(**changes):
    trunks = expand(config(**changes), IMAGES)
    return SweepPlan(trunks, NoCosts(), None)


def test_only_what_was_trained_sets_the_pace():
    plan = plan_of()
    pace = SweepPace(plan)
    assert pace.seconds_left is None
    pace.passed(plan.runs[0], seconds=0.1, trained=False)
    assert pace.seconds_left is None
    pace.passed(plan.runs[1], seconds=6.0, trained=True)
    left = sum(run.flops for run in plan.runs[2:])
    assert pace.seconds_left == pytest.approx(6.0 * left / plan.runs[1].flops)
    for run in plan.runs[2:]:
        pace.passed(run, seconds=1.0, trained=True)
    assert pace.seconds_left == pytest.approx(0.0, abs=1e-9)


def test_the_choice_of_a_rate_counts_once_for_the_runs_that_share_it():
    plan = plan_of(lr={"candidates": [1e-3, 1e-2], "steps": 20, "choose": "smallest"})
    (search,) = searches_of(plan.trunks).values()
    pace = SweepPace(plan)
    first, second = plan.runs[:2]
    pace.passed(first, seconds=1.0, trained=True)
    rest = plan.flops - first.flops - search.flops
    assert pace.seconds_left == pytest.approx(rest / (first.flops + search.flops))
    pace.passed(second, seconds=1.0, trained=True)
    done = first.flops + search.flops + second.flops
    assert pace.seconds_left == pytest.approx(2.0 * (plan.flops - done) / done)
