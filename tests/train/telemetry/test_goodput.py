"""Every second of a run is in one account; the clocks are made up."""

from __future__ import annotations

import numpy as np
import pytest

from tests.waiting import until
from vitctl.places import place
from vitctl.train.telemetry import goodput
from vitctl.train.telemetry.goodput import ACCOUNTS, Ledger, Meter


class Machine:
    """A machine whose time passes when told; both clocks, and one that is set back."""

    def __init__(self):
        self.time = 0.0
        self.set_back = 0.0

    def clock(self):
        return self.time

    def wall(self):
        return 1e9 + self.time - self.set_back

    def works(self, seconds):
        self.time += seconds


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def path(tmp_path):
    return place(tmp_path) / goodput.FILE


def ledger_of(machine, path, step, *, before=0.0):
    """`before`: seconds of work before the ledger is opened; they belong to the start, too."""
    meter = Meter(clock=machine.clock)
    machine.works(before)
    return Ledger(path, meter=meter, step=step, wall=machine.wall)


def booked(ledger):
    return {account: s for account, s in ledger.total().items() if s}


def test_a_moment_is_in_the_account_that_is_open(machine):
    meter = Meter(clock=machine.clock)
    machine.works(3)
    with meter.during("compile"):
        machine.works(5)
    meter.switch("step")
    machine.works(10)
    with meter.during("evaluation"):
        machine.works(2)
    machine.works(1)
    meter.move(4, "step", "data_wait")
    meter.settle()
    assert {a: s for a, s in meter.seconds.items() if s} == {
        "start": 3,
        "compile": 5,
        "step": 7,
        "data_wait": 4,
        "evaluation": 2,
    }


def test_no_more_can_be_moved_than_is_there(machine):
    meter = Meter(clock=machine.clock)
    meter.switch("step")
    machine.works(1)
    meter.move(5, "step", "data_wait")
    assert meter.seconds["step"] == 0
    assert meter.seconds["data_wait"] == 1


def test_a_run_killed_twice(machine, path):
    """Worked out by hand: saved at 10, dead at 14, a minute of nobody; again from 10 to the end."""
    ledger = ledger_of(machine, path, 0)
    ledger.meter.switch("step")
    for step in range(1, 15):
        machine.works(2)
        ledger.at(step)
        if step == 10:
            with ledger.meter.during("checkpoint"):
                machine.works(5)
    ledger.flush()
    machine.works(60)
    ledger = ledger_of(machine, path, 10, before=3)  # restoring
    machine.works(1)
    ledger.meter.switch("step")
    for step in range(11, 21):
        machine.works(2)
        ledger.at(step)
    assert booked(ledger) == {
        "step": 14 * 2 + 6 * 2,
        "checkpoint": 5,
        "start": 4,
        "redone": 4 * 2,
        "stopped": 60,
    }
    assert sum(ledger.total().values()) == machine.time
    assert sum(goodput.shares(ledger.total()).values()) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(20))
def test_the_accounts_sum_to_the_wall_time_whatever_happens(machine, path, seed):
    draw = np.random.default_rng(seed)
    began = machine.time
    saved = 0
    for _ in range(int(draw.integers(1, 6))):
        ledger = ledger_of(machine, path, saved, before=draw.exponential(5))
        ledger.meter.switch("step")
        step = saved
        for _ in range(int(draw.integers(1, 40))):
            machine.works(draw.exponential(3))
            ledger.meter.move(draw.exponential(1), "step", "data_wait")
            step += 1
            ledger.at(step)
            if draw.random() < 0.2:
                with ledger.meter.during("checkpoint"):
                    machine.works(draw.exponential(2))
                saved = step
            elif draw.random() < 0.1:  # a roll-back
                step = saved
                ledger.at(step)
        if draw.random() < 0.5:  # killed, at most 10 s after the last flush
            machine.works(draw.exponential(20))
        else:
            ledger.__exit__(KeyboardInterrupt, None, None)
    final = ledger_of(machine, path, saved)
    total = final.total()
    assert sum(total.values()) == pytest.approx(machine.time - began, rel=1e-9)
    assert all(seconds >= 0 for seconds in total.values())


def test_what_takes_long_is_written_down_meanwhile(machine, path, monkeypatch):
    """A kill in the middle of compiling loses no more than what the thread has not seen."""
    monkeypatch.setattr(goodput, "_FLUSH_S", 0.01)
    with ledger_of(machine, path, 0) as ledger, ledger.meter.during("compile"):
        machine.works(900)
        until(lambda: goodput.read(path)[0].seconds["compile"] == 900, "nothing is written")
        (row,) = goodput.read(path)
        assert row.ended is None
    (row,) = goodput.read(path)
    assert row.ended == "finished"


def test_the_time_after_a_finished_start_does_not_count(machine, path):
    with ledger_of(machine, path, 0) as ledger:
        machine.works(10)
        ledger.at(5)
    machine.works(1_000_000)
    ledger = ledger_of(machine, path, 5)
    machine.works(1)
    assert booked(ledger) == {"start": 11}


def test_a_clock_that_is_set_back_makes_nothing_negative(machine, path):
    ledger = ledger_of(machine, path, 0)
    machine.works(10)
    ledger.__exit__(KeyboardInterrupt, None, None)
    machine.set_back = 3600
    assert booked(ledger_of(machine, path, 0)) == {"start": 10}


def test_it_is_written_often_enough_and_not_at_each_step(machine, path):
    ledger = ledger_of(machine, path, 0)
    written = 0
    for step in range(1, 1001):
        before = path.stat().st_ino
        machine.works(1)
        ledger.at(step)
        written += path.stat().st_ino != before
        (row,) = goodput.read(path)
        assert machine.time - row.seen_s <= 10
    assert written <= 101


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 99, "starts": []}', '{"starts"'])
def test_what_cannot_be_read_starts_anew(machine, path, content):
    path.write_text(content)
    assert goodput.read(path) == []
    ledger_of(machine, path, 0)
    assert len(goodput.read(path)) == 1


def test_shares_of_nothing():
    assert goodput.shares(dict.fromkeys(ACCOUNTS, 0.0)) == {}
    assert goodput.as_json([])["goodput"] is None
