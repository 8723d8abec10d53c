"""How long devices were idle, told from results that end when the test says so."""

from __future__ import annotations

import threading

import pytest

from tests.waiting import until
from vitctl.train.telemetry import device_idle
from vitctl.train.telemetry.device_idle import StepEnds


class Result:
    """Of a step that takes as long as the test wants."""

    def __init__(self, *, fails=False):
        self.done, self.fails = threading.Event(), fails


@pytest.fixture
def follow(monkeypatch):
    def wait(result):
        result.done.wait()
        if result.fails:
            raise RuntimeError("the step failed")

    monkeypatch.setattr(device_idle.jax, "block_until_ready", wait)
    now = [0.0]
    with StepEnds(clock=lambda: now[0]) as steps:
        yield steps, now


def finish(steps, now, result, *, at):
    now[0] = at
    result.done.set()
    until(lambda: not steps.under_way(), "the end of the step was not seen")


@pytest.mark.parametrize("fails", [False, True])
def test_only_what_follows_the_end_of_the_step_is_idle(follow, fails):
    """Asked at 0, the step ends after 100 ms, the batch comes after 150."""
    steps, now = follow
    result = Result(fails=fails)
    steps.follow(result)
    assert steps.idle(since=0.0, now=0.05) == 0
    finish(steps, now, result, at=0.1)
    assert steps.idle(since=0.0, now=0.15) == pytest.approx(0.05)
    assert steps.idle(since=0.12, now=0.15) == pytest.approx(0.03)


def test_while_a_step_is_under_way_nothing_is_idle(follow):
    steps, now = follow
    first, second = Result(), Result()
    steps.follow(first)
    steps.follow(second)
    now[0] = 1.0
    first.done.set()
    until(lambda: steps.under_way() == 1, "the end of the first step was not seen")
    assert steps.idle(since=0.0, now=5.0) == 0
    finish(steps, now, second, at=6.0)
    assert steps.idle(since=0.0, now=7.0) == pytest.approx(1)
