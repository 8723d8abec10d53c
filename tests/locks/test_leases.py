"""One holder at a time, also where holders die or sleep."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict

import pytest

from vitctl.errors import InterruptedRun, OutOfReachError
from vitctl.events import silent
from vitctl.locks import leases
from vitctl.locks.holder import Holder
from vitctl.locks.leases import is_held, lease
from vitctl.places import buckets, guards, place


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(leases, "BEAT_S", 0.03)
    monkeypatch.setattr(leases, "PATIENCE_S", 1.5)
    monkeypatch.setattr(leases, "_POLL_S", 0.02)


@pytest.fixture
def lock(memory):
    return memory / "thing" / ".lock"


def hold(lock, emit=silent):
    return lease(lock, emit=emit, waiting="waiting")


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


def test_free_held_and_free_again(lock):
    assert not is_held(lock)
    with hold(lock):
        assert is_held(lock)
    assert not is_held(lock)
    with hold(lock):
        assert is_held(lock)


def test_many_at_once_take_turns(lock):
    inside, most, turns = 0, 0, 0
    guard = threading.Lock()

    def work(_):
        nonlocal inside, most, turns
        held = leases._acquire(lock, emit=silent, waiting="")
        with guard:
            inside, turns = inside + 1, turns + 1
            most = max(most, inside)
        time.sleep(0.01)
        with guard:
            inside -= 1
        held.release()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert (most, turns) == (1, 8)


def test_a_living_holder_is_waited_for_and_told_once(lock):
    said = []
    with ThreadPoolExecutor(1) as threads:
        with hold(lock):
            waiter = threads.submit(leases._acquire, lock, emit=said.append, waiting="it works")
            time.sleep(1.5 * leases.PATIENCE_S)  # its beats keep it alive
            assert not waiter.done()
        waiter.result(timeout=5).release()
    assert [event.text for event in said] == ["it works"]


def test_one_that_stands_still_is_over(lock):
    stranger(lock, number=3)
    began = time.monotonic()
    with hold(lock):
        assert time.monotonic() - began >= leases.PATIENCE_S
        assert is_held(lock)


def test_a_dead_process_of_this_machine_is_not_waited_for(lock, monkeypatch):
    monkeypatch.setattr(leases, "PATIENCE_S", 60)
    stranger(lock, **dead())
    began = time.monotonic()
    with hold(lock):
        assert time.monotonic() - began < 10


def test_a_living_process_of_this_machine_is_not_dead(lock):
    stranger(lock, **asdict(Holder.this()))
    assert not leases._highest(lock).is_free


def test_who_was_taken_over_changes_nothing_any_more(lock):
    target = lock.parent / "data"
    with hold(lock):
        place(target).write_atomic(b"mine")
        stranger(lock, number=2)
        time.sleep(10 * leases.BEAT_S)
        with pytest.raises(InterruptedRun, match="took over"):
            place(target).write_atomic(b"late")
        for change in (target.unlink, lambda: place(target).write_atomic(b"late")):
            with pytest.raises(InterruptedRun):
                change()
    assert target.read_bytes() != b"late"
    # What another holds is left alone.
    assert json.loads((lock / "00000002").read_bytes()).get("released") is None


def test_who_cannot_renew_stops_before_others_may_begin(lock, monkeypatch):
    real = buckets.put

    def broken(path, *rest, **more):
        if path.is_relative_to(lock):
            raise OutOfReachError("cut", exit_code=10)
        real(path, *rest, **more)

    with hold(lock):
        monkeypatch.setattr(buckets, "put", broken)
        time.sleep(leases.PATIENCE_S + 0.1)
        with pytest.raises(InterruptedRun, match="could not be renewed"):
            place(lock.parent / "data").write_atomic(b"late")
        monkeypatch.undo()


def test_an_answer_that_was_lost_is_no_other_holder(lock, monkeypatch):
    """The request is sent again, and finds what it made itself."""
    real = buckets.ask

    def twice(path, request, **more):
        answer = real(path, request, **more)
        return real(path, request, **more) if path.name.isdigit() and not answer else answer

    monkeypatch.setattr(buckets, "ask", twice)
    with hold(lock):
        assert is_held(lock)


def test_a_store_without_the_condition_keeps_one_of_two(lock, monkeypatch):
    real = buckets.put

    def overtaken(path, content, *, new=False, guarded=False):
        real(path, content)
        if new:
            stranger(lock, number=int(path.name))

    monkeypatch.setattr(buckets, "put", overtaken)
    assert leases._take(lock, 1) is None


@pytest.fixture
def careless(monkeypatch):
    """A store that doesn't know the condition, and replaces what is there."""
    real = buckets.put
    monkeypatch.setattr(
        buckets, "put", lambda path, content, *, new=False, guarded=False: real(path, content)
    )


def lost(held):
    with suppress(InterruptedRun):
        held.check()
        return False
    return True


def test_of_two_that_both_made_the_lease_one_goes_on(lock, careless, monkeypatch):
    """The first had looked already when the second made it, too, and not yet written its beat."""
    for name in ("BEAT_S", "_POLL_S"):
        monkeypatch.setattr(leases, name, 0.3)
    first, second = leases._take(lock, 1), leases._take(lock, 1)
    assert first is not None
    assert second is not None
    time.sleep(3 * leases.BEAT_S)
    assert sorted([lost(first), lost(second)]) == [False, True]
    ending, staying = (first, second) if lost(first) else (second, first)
    ending.release()
    assert leases._highest(lock).fields["token"] == staying.token
    assert not leases._highest(lock).is_free
    time.sleep(3 * leases.BEAT_S)
    assert not lost(staying)
    staying.release()
    assert leases._highest(lock).is_free


def test_who_leaves_at_once_releases_no_lease_of_another(lock, careless, monkeypatch):
    """It had no time to see that it lost it."""
    monkeypatch.setattr(leases, "BEAT_S", 60)
    monkeypatch.setattr(leases, "_POLL_S", 60)
    first, second = leases._take(lock, 1), leases._take(lock, 1)
    first.release()
    assert not leases._highest(lock).is_free
    second.release()
    assert leases._highest(lock).is_free


def test_who_took_the_same_number_is_seen_long_before_the_first_beat(lock, careless, monkeypatch):
    monkeypatch.setattr(leases, "BEAT_S", 60)
    monkeypatch.setattr(leases, "_POLL_S", 0.3)
    first, second = leases._take(lock, 1), leases._take(lock, 1)
    time.sleep(0.9)
    assert sorted([lost(first), lost(second)]) == [False, True]
    first.release()
    second.release()


def test_a_lease_that_somebody_removed_is_written_again(lock):
    with hold(lock):
        buckets.remove([lock / "00000001"])
        time.sleep(5 * leases.BEAT_S)
        assert is_held(lock)
        place(lock.parent / "data").write_atomic(b"mine")


# Several processes under one lease


def following(lock, told):
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


def test_who_follows_may_write_while_the_lease_lives(lock, elsewhere):
    held = leases._acquire(lock, emit=silent, waiting="", several=True)
    with leases.follow(lock, leases.HeldLease(held.number, held.token)):
        time.sleep(2 * leases.PATIENCE_S)
        assert following(lock, held) is None
        held.release()
        time.sleep(5 * leases.BEAT_S)
        assert "took over" in following(lock, held)
    assert following(lock, held) is None  # outside, it is no business of its


def test_who_follows_stops_before_others_may_begin(lock, elsewhere):
    """The holder is dead: its lease stands still."""
    stranger(lock, token="t", beat=7)
    began = time.monotonic()
    with leases.follow(lock, leases.HeldLease(1, "t")):
        assert following(lock, None) is None
        time.sleep(leases.PATIENCE_S)
        assert "could not be renewed" in following(lock, None)
        # It never lives longer than for who waits from now on.
        assert time.monotonic() - began >= leases.PATIENCE_S
        stranger(lock, number=2)
        time.sleep(5 * leases.BEAT_S)
        assert "took over" in following(lock, None)


def test_of_several_none_is_taken_for_dead_at_once(lock):
    """The first of them is gone; the others may still write."""
    stranger(lock, several=True, **dead())
    began = time.monotonic()
    with hold(lock):
        assert time.monotonic() - began >= leases.PATIENCE_S


def test_a_lease_that_others_may_still_write_under_is_not_released(lock):
    with hold(lock):
        leases.hold_on(lock, on=True)
    assert not leases._highest(lock).is_free
    began = time.monotonic()
    with hold(lock):
        assert time.monotonic() - began >= leases.PATIENCE_S / 2
        leases.hold_on(lock, on=True)
        leases.hold_on(lock, on=False)
    assert leases._highest(lock).is_free
