"""The clock of the machine, and the one that tests drive."""

from __future__ import annotations

import threading

import pytest

from tests.locks.hand_clock import HandClock
from tests.waiting import PATIENCE_S
from vitctl.locks.timing import SYSTEM


def test_work_is_done_again_until_it_says_that_it_is_over():
    done, count = threading.Event(), []

    def work():
        count.append(threading.current_thread())
        if len(count) == 3:
            done.set()
            return None
        return 0.0

    repeating = SYSTEM.repeat(work, after_s=0.0, name="of this test")
    assert done.wait(PATIENCE_S)
    repeating.end()
    assert len(count) == 3
    assert {(thread.name, thread.daemon) for thread in count} == {("of this test", True)}


def test_after_the_end_nothing_is_under_way():
    """Not even what was begun before."""
    begun, go_on, finished = threading.Event(), threading.Event(), []

    def work():
        begun.set()
        go_on.wait(PATIENCE_S)
        finished.append(True)
        return 0.0

    repeating = SYSTEM.repeat(work, after_s=0.0, name="work")
    assert begun.wait(PATIENCE_S)
    threading.Timer(0.01, go_on.set).start()
    repeating.end()
    assert finished == [True]


def test_an_end_before_the_first_time_is_not_waited_for():
    calls = []
    SYSTEM.repeat(lambda: calls.append(1), after_s=1e6, name="never").end()
    assert calls == []


def test_the_clock_of_the_machine_goes_on():
    before = SYSTEM.now_s()
    SYSTEM.sleep(0.01)
    assert SYSTEM.now_s() - before >= 0.01


def test_what_is_due_meanwhile_happens_in_its_order_and_at_its_time():
    clock, events = HandClock(), []
    began = clock.now_s()

    def every(name, pause_s):
        def work():
            events.append((name, clock.now_s() - began))
            return pause_s

        return work

    repeating = clock.repeat(every("a", 3.0), after_s=1.0)
    clock.repeat(every("once", None), after_s=2.0)
    clock.sleep(0.5)
    assert events == []
    clock.sleep(4.5)
    repeating.end()
    clock.sleep(100)
    assert events == [("a", pytest.approx(1)), ("once", pytest.approx(2)), ("a", pytest.approx(4))]
    assert clock.now_s() - began == pytest.approx(105)
