"""When things happen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vitctl.train.config import TrainRuntime
from vitctl.train.run.cadence import Cadence


def test_the_paper_s_cadence():
    cadence = Cadence.of(TrainRuntime(), first_step=0, total=1_000_000)
    assert (cadence.log, cadence.save, cadence.evaluate) == (50, 1000, 1000)


@given(st.integers(1, 10**6), st.integers(0, 10**5))
def test_the_end_is_always_due(length, first_step):
    cadence = Cadence.of(TrainRuntime(), first_step=first_step, total=first_step + length)
    for every in (cadence.log, cadence.save, cadence.evaluate, 0):
        assert cadence.due(every, first_step + length)


def test_what_stays():
    cadence = Cadence.of(
        TrainRuntime(checkpoint_every=1, keep_every=4, keep_newest=2), first_step=0, total=100
    )
    assert cadence.to_drop(range(1, 11), keep=[5]) == [1, 2, 3, 6, 7]


def test_what_a_signal_saved_goes_first():
    cadence = Cadence.of(
        TrainRuntime(checkpoint_every=4, keep_every=100, keep_newest=2), first_step=0, total=100
    )
    assert cadence.to_drop([8, 12, 13], keep=[13]) == []
    assert cadence.to_drop([8, 12, 13, 16], keep=[16]) == [8, 13]
    # What an earlier start saved, in other intervals, is better than nothing.
    assert cadence.to_drop([5, 10, 12], keep=[12]) == [5]
