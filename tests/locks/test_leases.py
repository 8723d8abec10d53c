"""One holder at a time, also where holders die or sleep."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from functools import partial

import pytest

from vitctl.errors import InterruptedRun, OutOfReachError
from vitctl.events import silent
from vitctl.locks import leases
from vitctl.locks.holder import Holder
from vitctl.locks.leases import is_held, lease
from vitctl.places import buckets, guards, place


@pytest.fixture
def lock(memory):
    return memory / "thing" / ".lock"


@pytest.fixture
def hold(lock, clock):
    """hold(): the lease of this process."""
    return partial(lease, lock, emit=silent, waiting="waiting", clock=clock)


@pytest.fixture
def acquire(lock, clock):
    return partial(leases._acquire, lock, emit=silent, waiting="", clock=clock)


@pytest.fixture
def take(lock, clock):
    return partial(leases._take, lock, clock=clock)


def stranger(lock, number=1, **fields):
    """A lease of a process elsewhere."""
    content = {"token": "t", "beat": 0, "world": "another machine", "pid": 1, "since": "1"}
    buckets.put(lock / f"{number:08}", json.dumps({**content, **fields}).encode())


def dead():
    """What a process of this machine said of itself that is gone."""
    script = (
        "from dataclasses import asdict; from vitctl.locks.holder import Holder; import json; "
        "print(json.dumps(asdict(Holder.this())))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    return json.loads(done.stdout)


def test_free_held_and_free_again(lock, hold):
    assert not is_held(lock)
    with hold():
        assert is_held(lock)
    assert not is_held(lock)
    with hold():
        assert is_held(lock)


def test_many_at_once_take_turns(acquire, clock):
    inside, most, turns = 0, 0, 0
    guard = threading.Lock()

    def work(_):
        nonlocal inside, most, turns
        held = acquire()
        with guard:
            inside, turns = inside + 1, turns + 1
            most = max(most, inside)
        clock.sleep(leases.PATIENCE_S)  # the others get to run
        with guard:
            inside -= 1
        held.release()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert (most, turns) == (1, 8)


def test_a_living_holder_is_waited_for_and_told_once(acquire, clock):
    """Its beats keep it alive for ten times as long as one that stands still."""
    notes, began = [], clock.now_s()
    first = acquire()
    clock.once(first.release, after_s=10 * leases.PATIENCE_S)
    acquire(emit=notes.append, waiting="it works").release()
    assert clock.now_s() - began == pytest.approx(10 * leases.PATIENCE_S, abs=2 * leases._POLL_S)
    assert [note.text for note in notes] == ["it works"]


def test_one_that_stands_still_is_over(lock, hold, clock):
    stranger(lock, number=3)
    began = clock.now_s()
    with hold():
        waited_s = clock.now_s() - began
        assert leases.PATIENCE_S < waited_s <= leases.PATIENCE_S + leases._POLL_S
        assert is_held(lock)


def test_a_dead_process_of_this_machine_is_not_waited_for(lock, hold, clock):
    stranger(lock, **dead())
    began = clock.now_s()
    with hold():
        assert clock.now_s() == began


def test_a_living_process_of_this_machine_is_not_dead(lock):
    stranger(lock, **asdict(Holder.this()))
    assert not leases._highest(lock).is_free


def test_who_was_taken_over_changes_nothing_any_more(lock, hold, clock):
    target = lock.parent / "data"
    with hold():
        place(target).write_atomic(b"mine")
        stranger(lock, number=2)
        clock.sleep(leases.BEAT_S)
        with pytest.raises(InterruptedRun, match="took over"):
            place(target).write_atomic(b"late")
        for change in (target.unlink, lambda: place(target).write_atomic(b"late")):
            with pytest.raises(InterruptedRun):
                change()
    assert target.read_bytes() != b"late"
    # What another holds is left alone.
    assert json.loads((lock / "00000002").read_bytes()).get("released") is None


def test_who_cannot_renew_stops_before_others_may_begin(lock, hold, clock, monkeypatch):
    real = buckets.put

    def broken(path, *rest, **more):
        if path.is_relative_to(lock):
            raise OutOfReachError("cut", exit_code=10)
        real(path, *rest, **more)

    with hold():
        monkeypatch.setattr(buckets, "put", broken)
        clock.sleep(leases.PATIENCE_S - 1)
        place(lock.parent / "data").write_atomic(b"in time")
        clock.sleep(1)
        with pytest.raises(InterruptedRun, match="could not be renewed for 60 s"):
            place(lock.parent / "data").write_atomic(b"late")
        monkeypatch.undo()


def test_an_answer_that_was_lost_is_no_other_holder(lock, hold, monkeypatch):
    """The request is sent again, and finds what it made itself."""
    real = buckets.ask

    def twice(path, request, **more):
        answer = real(path, request, **more)
        return real(path, request, **more) if path.name.isdigit() and not answer else answer

    monkeypatch.setattr(buckets, "ask", twice)
    with hold():
        assert is_held(lock)


def test_a_store_without_the_condition_keeps_one_of_two(lock, take, monkeypatch):
    real = buckets.put

    def overtaken(path, content, *, new=False, guarded=False):
        real(path, content)
        if new:
            stranger(lock, number=int(path.name))

    monkeypatch.setattr(buckets, "put", overtaken)
    assert take(1) is None


@pytest.fixture
def careless(monkeypatch):
    """A store that doesn't know the condition, and replaces what is there."""
    real = buckets.put
    monkeypatch.setattr(
        buckets, "put", lambda path, content, *, new=False, guarded=False: real(path, content)
    )


def is_lost(held):
    with suppress(InterruptedRun):
        held.check()
        return False
    return True


def test_of_two_that_both_made_the_lease_one_goes_on(lock, take, clock, careless):
    """The first had looked already when the second made it, too, and not yet written its beat."""
    first, second = take(1), take(1)
    assert first is not None
    assert second is not None
    clock.sleep(3 * leases.BEAT_S)
    assert [is_lost(first), is_lost(second)] == [True, False]
    first.release()
    assert leases._highest(lock).fields["token"] == second.token
    assert not leases._highest(lock).is_free
    clock.sleep(3 * leases.BEAT_S)
    assert not is_lost(second)
    second.release()
    assert leases._highest(lock).is_free


def test_who_leaves_at_once_releases_no_lease_of_another(lock, take, careless):
    """It had no time to see that it lost it."""
    first, second = take(1), take(1)
    first.release()
    assert not leases._highest(lock).is_free
    second.release()
    assert leases._highest(lock).is_free


def test_who_took_the_same_number_is_seen_long_before_the_first_beat(take, clock, careless):
    first, second = take(1), take(1)
    assert not is_lost(first)
    clock.sleep(leases.BEAT_S / 10)
    assert [is_lost(first), is_lost(second)] == [True, False]
    first.release()
    second.release()


def test_a_lease_that_somebody_removed_is_written_again(lock, hold, clock):
    with hold():
        buckets.remove([lock / "00000001"])
        assert not is_held(lock)
        clock.sleep(leases.BEAT_S)
        assert is_held(lock)
        place(lock.parent / "data").write_atomic(b"mine")


# Several processes under one lease


def refusal(lock):
    """What a guard of a process that follows says; None if it may write."""
    try:
        place(lock.parent / "part").write_atomic(b"part")
    except InterruptedRun as error:
        return error.message
    return None


@pytest.fixture
def elsewhere(monkeypatch):
    """Guards as in another process, which doesn't hold the lease."""
    monkeypatch.setattr(guards, "_checks", {})


@pytest.fixture
def follow(lock, clock):
    return partial(leases.follow, lock, clock=clock)


def test_who_follows_may_write_while_the_lease_lives(lock, acquire, follow, clock, elsewhere):
    held = acquire(several=True)
    with follow(leases.HeldLease(held.number, held.token)):
        clock.sleep(10 * leases.PATIENCE_S)
        assert refusal(lock) is None
        held.release()
        clock.sleep(leases.BEAT_S)
        assert "took over" in refusal(lock)
    assert refusal(lock) is None  # outside, it is no business of its


def test_who_follows_stops_before_others_may_begin(lock, follow, clock, elsewhere):
    """The holder is dead: its lease stands still. Who waits for it to run out from the moment on
    at which the follower first saw it may begin just when the follower stops."""
    stranger(lock, token="t", beat=7)
    with follow(leases.HeldLease(1, "t")):
        clock.sleep(leases.PATIENCE_S - 1)
        assert refusal(lock) is None
        clock.sleep(1)
        assert "could not be renewed" in refusal(lock)
        stranger(lock, number=2)
        clock.sleep(leases.BEAT_S)
        assert "took over" in refusal(lock)


def test_a_beat_that_was_seen_late_is_not_young(lock, follow, clock, elsewhere):
    """It may have been written just after the look before, and be waited for since then."""
    stranger(lock, token="t", beat=7)
    with follow(leases.HeldLease(1, "t")):
        clock.sleep(5 * leases.BEAT_S)
        stranger(lock, token="t", beat=8)
        clock.sleep(leases.BEAT_S)
        clock.sleep(leases.PATIENCE_S - 2 * leases.BEAT_S - 1)
        assert refusal(lock) is None
        clock.sleep(leases.BEAT_S)
        assert "could not be renewed" in refusal(lock)


def test_of_several_none_is_taken_for_dead_at_once(lock, hold, clock):
    """The first of them is gone; the others may still write."""
    stranger(lock, several=True, **dead())
    began = clock.now_s()
    with hold():
        assert clock.now_s() - began > leases.PATIENCE_S


def test_a_lease_that_others_may_still_write_under_is_not_released(lock, hold, clock):
    with hold():
        leases.hold_on(lock, on=True)
    assert not leases._highest(lock).is_free
    began = clock.now_s()
    with hold():
        assert clock.now_s() - began > leases.PATIENCE_S
        leases.hold_on(lock, on=True)
        leases.hold_on(lock, on=False)
    assert leases._highest(lock).is_free
