"""The lock that needs no flock, with flock made to fail, or to lie, as where it is needed."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import signal
import sys
import threading
import time
from dataclasses import replace

import pytest

from tests.artifacts.making import recipe, trained
from tests.locks.hand_clock import HandClock
from tests.waiting import PATIENCE_S
from vitctl.errors import InterruptedRun
from vitctl.events import silent
from vitctl.locks import exclusive as locks
from vitctl.locks import heartbeat, mounts
from vitctl.locks.heartbeat import Beat
from vitctl.locks.holder import Holder, started
from vitctl.places import nofollow, place

_spawned = multiprocessing.get_context("spawn")


def no_flock(descriptor, operation):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


@pytest.fixture(autouse=True)
def _no_flock(monkeypatch):
    monkeypatch.setattr(fcntl, "flock", no_flock)


@pytest.fixture
def exclusive(clock):
    """exclusive(path): its lock, by the clock of the test."""

    def call(path, *, emit=silent):
        return locks.exclusive(place(path), emit=emit, waiting="waiting", clock=clock)

    return call


@pytest.fixture
def take(exclusive):
    """take(path): what is said until it is had."""

    def call(path):
        notes = []
        with exclusive(path, emit=notes.append):
            return [note.text for note in notes]

    return call


def leave(path, holder):
    """What a holder that died left behind."""
    heartbeat.beside(path).write_bytes(heartbeat._content(holder))


ELSEWHERE = Beat("someone", "node7", "node7 other-boot", 17)


def test_one_at_a_time(tmp_path, exclusive, take, clock):
    """The holder's count moves, so it is waited for much longer than one that stands still."""
    path, began = tmp_path / "run" / ".lock", clock.now_s()
    first = exclusive(path)
    first.__enter__()
    assert locks.is_locked(place(path))
    long_s = 3 * heartbeat.STALE_S
    clock.once(lambda: first.__exit__(None, None, None), after_s=long_s)
    assert take(path) == ["waiting"]
    assert clock.now_s() - began == pytest.approx(long_s, abs=2 * heartbeat._POLL_S)
    assert not locks.is_locked(place(path))
    assert not heartbeat.beside(path).exists()


def test_a_count_that_stands_still_is_taken_over(tmp_path, take, clock):
    path = tmp_path / ".lock"
    leave(path, ELSEWHERE)
    assert locks.is_locked(place(path))  # another machine's: not known to be dead
    os.utime(heartbeat.beside(path), (0, 0))
    assert not locks.is_locked(place(path))
    began = clock.now_s()
    assert take(path) == ["waiting"]
    waited_s = clock.now_s() - began
    assert heartbeat.STALE_S <= waited_s <= heartbeat.STALE_S + 2 * heartbeat._POLL_S


def test_what_a_dead_holder_left_beside_finished_work_goes(tmp_path, exclusive):
    """No other takes the lock there any more: the finished work is returned without it."""
    path = tmp_path / ".lock"
    gone = multiprocessing.get_context("fork").Process(target=time.sleep, args=(0,))
    gone.start()
    holder = replace(Holder.this(), pid=gone.pid, since=started(gone.pid) or "0")
    gone.join()
    here = Beat("someone", "here", heartbeat._where(holder), gone.pid)
    for beat, age_s in ((here, 0), (ELSEWHERE, 3 * heartbeat.STALE_S)):
        leave(path, beat)
        path.touch()
        then = time.time() - age_s
        os.utime(heartbeat.beside(path), (then, then))
        locks.remove_stale(place(path))
        assert list(tmp_path.iterdir()) == []
    leave(path, ELSEWHERE)
    path.touch()
    locks.remove_stale(place(path))  # it may live
    assert len(list(tmp_path.iterdir())) == 2
    heartbeat.beside(path).unlink()
    with exclusive(path):
        locks.remove_stale(place(path))
        assert len(list(tmp_path.iterdir())) == 2
    assert list(tmp_path.iterdir()) == []  # nor is anything left that no one holds


def test_no_descriptor_is_left_open(tmp_path, monkeypatch):
    """Also where removing fails in a way that nobody thought of."""
    path = tmp_path / ".lock"
    path.touch()

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(fcntl, "flock", fail)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(MemoryError):
        locks.remove_stale(place(path))
    assert os.listdir("/proc/self/fd") == before


def test_a_clock_that_jumps_takes_nothing_over(tmp_path, take, clock, monkeypatch):
    """Years pass on every clock; the holder's count moves, and that is all that counts."""
    path, began = tmp_path / ".lock", clock.now_s()
    for name in ("time", "monotonic", "perf_counter"):
        real, zero = getattr(time, name), time.perf_counter()
        jumped = lambda real=real, zero=zero: real() + 1e8  # noqa: E731
        monkeypatch.setattr(time, name, jumped)
    leave(path, ELSEWHERE)
    os.utime(heartbeat.beside(path), (0, 0))
    beats = iter(range(1, 30))

    def count():
        beat = next(beats, None)
        if beat is None:
            heartbeat.beside(path).unlink()
            return None
        leave(path, replace(ELSEWHERE, beat=beat))
        return heartbeat.BEAT_S

    clock.repeat(count, after_s=heartbeat.BEAT_S)
    assert take(path) == ["waiting"]
    assert clock.now_s() - began >= 29 * heartbeat.BEAT_S


def test_a_dead_process_of_this_machine_is_seen_at_once(tmp_path, take, clock):
    path = tmp_path / ".lock"
    other = _spawned.Process(target=time.sleep, args=(60,))
    other.start()
    where = heartbeat._where(replace(Holder.this(), since=started(other.pid)))
    leave(path, Beat("someone", "here", where, other.pid))
    assert locks.is_locked(place(path))
    os.kill(other.pid, signal.SIGKILL)
    other.join()
    assert not locks.is_locked(place(path))
    began = clock.now_s()
    assert take(path) == []
    assert clock.now_s() == began


def test_of_many_that_find_it_stale_one_gets_it_at_a_time(tmp_path, exclusive, clock):
    path, inside, worst = tmp_path / ".lock", [], []
    leave(path, ELSEWHERE)

    def work():
        with exclusive(path):
            inside.append(1)
            worst.append(len(inside))
            clock.sleep(heartbeat.STALE_S)  # the others get to run
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worst == [1] * 8


def test_a_new_holder_s_file_that_was_taken_for_the_stale_one_is_put_back(tmp_path, monkeypatch):
    """Another waiter was faster: in the moment before the file is moved it is that one's."""
    path, rename = tmp_path / ".lock", nofollow.rename
    leave(path, ELSEWHERE)
    new = replace(ELSEWHERE, owner="another")

    def late(source, target):
        leave(path, new)
        rename(source, target)

    monkeypatch.setattr(nofollow, "rename", late)
    heartbeat._remove_stale(heartbeat.beside(path), ELSEWHERE)
    assert heartbeat.read(heartbeat.beside(path)) == new
    assert list(tmp_path.iterdir()) == [heartbeat.beside(path)]


def test_a_holder_that_lost_its_lock_ends(tmp_path, exclusive, clock, monkeypatch, capfd):
    """It stood still for so long that another works there now."""
    path, ended = tmp_path / ".lock", []

    def leave_at_once(code):
        ended.append(code)
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", leave_at_once)
    with exclusive(path):
        leave(path, ELSEWHERE)
        clock.sleep(heartbeat.BEAT_S)
        assert not ended  # one who took it by mistake would put it back now
        with pytest.raises(SystemExit):
            clock.sleep(heartbeat._POLL_S)
    assert ended == [10]
    err = capfd.readouterr().err
    assert f"stopped: another vitctl took over {tmp_path}" in err
    assert "\nhint: run the same command again" in err
    assert heartbeat.read(heartbeat.beside(path)) == ELSEWHERE


def test_a_holder_that_stood_still_writes_nothing_when_it_goes_on(tmp_path, exclusive):
    """Not even in the moment before the thread that beats sees it."""
    path, written = tmp_path / ".lock", tmp_path / "run.json"
    other = _spawned.Process(target=stand_still_and_write, args=(path, written))
    other.start()
    os.waitid(os.P_PID, other.pid, os.WSTOPPED)
    with exclusive(path):
        place(written).write_atomic(b"the next holder's")
        os.kill(other.pid, signal.SIGCONT)
        other.join(PATIENCE_S)
        assert other.exitcode == 10
        assert written.read_bytes() == b"the next holder's"


def stand_still_and_write(path, written):
    fcntl.flock = no_flock
    with locks.exclusive(place(path), emit=silent, waiting="", clock=HandClock()):
        place(written).write_atomic(b"the first holder's")
        os.kill(os.getpid(), signal.SIGSTOP)
        try:
            place(written).write_atomic(b"late")
        except InterruptedRun as error:
            sys.exit(error.exit_code)


@pytest.fixture
def lose_lock(monkeypatch, store):
    """Makes another process the holder of a folder of the store, where this one is at work."""
    monkeypatch.setattr(heartbeat, "BEAT_S", 1e6)  # the thread would end this process
    return lambda folder: leave(folder / ".lock", ELSEWHERE)


def test_who_lost_the_lock_publishes_no_artifact(store, lose_lock):
    with store.open(recipe(), name="thing") as draft:
        (draft.path / "data.bin").write_bytes(b"late")
        lose_lock(draft.path)
        with pytest.raises(InterruptedRun, match="took over") as error:
            draft.publish(summary={})
    assert (error.value.exit_code, error.value.hint is None) == (10, False)
    assert not (draft.path / "artifact.json").exists()
    assert heartbeat.read(draft.path / ".lock.held") == ELSEWHERE


def test_who_lost_the_lock_changes_and_removes_nothing_of_a_run(store, lose_lock):
    path = trained(store, recipe("pretrain", "run"), steps=(10, 20), results=(20,))
    with store.open_run(recipe("pretrain", "run"), name="x") as run:
        (path / "checkpoints" / "30").mkdir()
        (path / "checkpoints" / "30" / "part").write_bytes(b"the next holder's")
        lose_lock(path)
        before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
        for change in (
            lambda: run.begin(from_step=20, runtime={}),
            lambda: run.mark_result(10),
            lambda: run.drop(10),
            lambda: run.abandon(20),
            lambda: run.empty_place(30),
            lambda: run.publish(30, summary={"step": 30}, started="2026-01-01"),
        ):
            with pytest.raises(InterruptedRun, match="took over"):
                change()
        assert {p: p.read_bytes() for p in path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("late", [False, True])
def test_a_lock_that_is_put_back_at_once_is_not_lost(tmp_path, exclusive, clock, late):
    """A waiter took it by mistake."""
    path, written = tmp_path / ".lock", place(tmp_path / "run.json")
    with exclusive(path):
        held = heartbeat.beside(path)
        held.rename(tmp_path / "aside")
        back_s = heartbeat._POLL_S * (heartbeat._LOOKS + 1 if late else 2)
        clock.once(lambda: (tmp_path / "aside").rename(held), after_s=back_s)
        if late:
            with pytest.raises(InterruptedRun, match="took over"):
                written.write_atomic(b"mine")
        else:
            written.write_atomic(b"mine")
    assert (tmp_path / "run.json").exists() == (not late)


# File systems that other machines see


@pytest.fixture
def on_nfs(monkeypatch):
    """Where flock succeeds, but is one of this machine alone."""
    monkeypatch.setattr(fcntl, "flock", lambda descriptor, operation: None)
    monkeypatch.setattr(mounts, "shared", lambda folder: "nfs4")


@pytest.mark.usefixtures("on_nfs")
def test_a_flock_of_one_machine_is_not_trusted(tmp_path, take, clock):
    path = tmp_path / ".lock"
    leave(path, ELSEWHERE)  # another machine's, whose flock this one does not see
    assert locks.is_locked(place(path))
    began = clock.now_s()
    assert take(path) == ["waiting"]
    assert clock.now_s() - began >= heartbeat.STALE_S
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("on_nfs")
def test_another_machine_sees_who_holds_it(tmp_path):
    path = tmp_path / ".lock"
    with locks.exclusive(place(path), emit=silent, waiting=""):
        assert heartbeat.read(heartbeat.beside(path)).pid == os.getpid()
        assert path.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_of_this_machine_needs_no_beats(tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(mounts, "shared", lambda folder: None)
    with locks.exclusive(place(tmp_path / ".lock"), emit=silent, waiting=""):
        assert [p.name for p in tmp_path.iterdir()] == [".lock"]


def test_other_errors_of_flock_are_not_hidden(tmp_path, take, monkeypatch):
    def broken(descriptor, operation):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(OSError, match="broken"):
        take(tmp_path / ".lock")
