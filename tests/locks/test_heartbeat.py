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
from vitctl.errors import InterruptedRun
from vitctl.locks import exclusive as locks
from vitctl.locks import heartbeat, mounts
from vitctl.locks.heartbeat import Beat
from vitctl.locks.holder import Holder, started
from vitctl.places import place

_spawned = multiprocessing.get_context("spawn")


def no_flock(descriptor, operation):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Without flock, and with beats that a test can wait for."""
    monkeypatch.setattr(fcntl, "flock", no_flock)
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.05)
    monkeypatch.setattr(heartbeat, "STALE_S", 0.6)
    monkeypatch.setattr(heartbeat, "_POLL_S", 0.02)


def take(path, order, name, *, hold_s=0.0):
    with locks.exclusive(
        place(path), emit=lambda event: order.append(event.text), waiting="waiting"
    ):
        order.append(f"{name} has it")
        time.sleep(hold_s)
        order.append(f"{name} leaves")


def leave(path, holder):
    """What a holder that died left behind."""
    heartbeat.beside(path).write_bytes(heartbeat._content(holder))


ELSEWHERE = Beat("someone", "node7", "node7 other-boot", 17)


@pytest.mark.slow  # a loaded machine may starve a thread
def test_one_at_a_time(tmp_path):
    path, order = tmp_path / "run" / ".lock", []
    first = threading.Thread(target=take, args=(path, order, "first"), kwargs={"hold_s": 1.0})
    first.start()
    while "first has it" not in order:
        time.sleep(0.01)
    assert locks.is_locked(place(path))
    take(path, order, "second")  # longer than STALE_S: the holder's count moves
    first.join()
    expected = ["first has it", "waiting", "first leaves", "second has it", "second leaves"]
    assert order == expected
    assert not locks.is_locked(place(path))
    assert not heartbeat.beside(path).exists()


def test_a_count_that_stands_still_is_taken_over(tmp_path):
    path, order = tmp_path / ".lock", []
    leave(path, ELSEWHERE)
    assert locks.is_locked(place(path))  # another machine's: not known to be dead
    os.utime(heartbeat.beside(path), (0, 0))
    assert not locks.is_locked(place(path))
    began = time.monotonic()
    take(path, order, "next")
    assert time.monotonic() - began >= heartbeat.STALE_S
    assert order == ["waiting", "next has it", "next leaves"]


@pytest.mark.slow  # a loaded machine may starve a thread
def test_a_clock_that_jumps_takes_nothing_over(tmp_path, monkeypatch):
    """Years pass on every clock; the holder's count moves, and that is all that counts."""
    path, order = tmp_path / ".lock", []
    for clock in ("time", "monotonic", "perf_counter"):
        real, start = getattr(time, clock), time.perf_counter()
        jumped = lambda real=real, start=start: real() + 1e8  # noqa: E731
        monkeypatch.setattr(time, clock, jumped)
    leave(path, ELSEWHERE)
    os.utime(heartbeat.beside(path), (0, 0))
    over = threading.Event()

    def count():
        for beat in range(100):
            leave(path, replace(ELSEWHERE, beat=beat))
            if over.wait(0.02):
                break
        heartbeat.beside(path).unlink()

    thread = threading.Thread(target=count)
    thread.start()
    waiting = threading.Thread(target=take, args=(path, order, "next"))
    waiting.start()
    waiting.join(timeout=2 * heartbeat.STALE_S)
    assert order == ["waiting"]
    over.set()
    thread.join()
    waiting.join()
    assert order[-1] == "next leaves"


def test_a_dead_process_of_this_machine_is_seen_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "STALE_S", 1e9)
    path = tmp_path / ".lock"
    other = _spawned.Process(target=time.sleep, args=(60,))
    other.start()
    where = heartbeat._where(replace(Holder.this(), since=started(other.pid)))
    leave(path, Beat("someone", "here", where, other.pid))
    assert locks.is_locked(place(path))
    os.kill(other.pid, signal.SIGKILL)
    other.join()
    assert not locks.is_locked(place(path))
    order = []
    take(path, order, "next")
    assert order == ["next has it", "next leaves"]


@pytest.mark.slow  # a loaded machine may starve a thread
def test_of_many_that_find_it_stale_one_gets_it_at_a_time(tmp_path):
    path, order, inside, worst = tmp_path / ".lock", [], [], []
    leave(path, ELSEWHERE)

    def work():
        with locks.exclusive(place(path), emit=order.append, waiting=""):
            inside.append(1)
            worst.append(len(inside))
            time.sleep(0.03)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worst == [1] * 8


@pytest.mark.slow  # a loaded machine may starve a thread
def test_a_holder_that_lost_its_lock_ends(tmp_path, capfd):
    """It stood still for so long that another works there now."""
    path = tmp_path / ".lock"
    other = _spawned.Process(target=hold_without_flock, args=(path,))
    other.start()
    while heartbeat.read(heartbeat.beside(path)) is None:
        time.sleep(0.01)
    leave(path, ELSEWHERE)
    other.join(30)
    assert other.exitcode == 10
    told = capfd.readouterr().err
    assert f"stopped: another vitctl took over {tmp_path}" in told
    assert "\nhint: run the same command again" in told


def hold_without_flock(path):
    fcntl.flock, heartbeat.BEAT_S = no_flock, 0.05
    with locks.exclusive(place(path), emit=lambda event: None, waiting=""):
        time.sleep(60)


def test_a_holder_that_stood_still_writes_nothing_when_it_goes_on(tmp_path):
    """Not even in the moment before the thread that beats sees it."""
    path, written = tmp_path / ".lock", tmp_path / "run.json"
    other = _spawned.Process(target=stand_still_and_write, args=(path, written))
    other.start()
    os.waitid(os.P_PID, other.pid, os.WSTOPPED)
    with locks.exclusive(place(path), emit=lambda event: None, waiting=""):
        place(written).write_atomic(b"the next holder's")
        os.kill(other.pid, signal.SIGCONT)
        other.join(30)
        assert other.exitcode == 10
        assert written.read_bytes() == b"the next holder's"


def stand_still_and_write(path, written):
    fcntl.flock, heartbeat.BEAT_S = no_flock, 1.0
    with locks.exclusive(place(path), emit=lambda event: None, waiting=""):
        place(written).write_atomic(b"the first holder's")
        os.kill(os.getpid(), signal.SIGSTOP)
        try:
            place(written).write_atomic(b"late")
        except InterruptedRun as error:
            sys.exit(error.exit_code)


@pytest.fixture
def lost(monkeypatch, store):
    """Makes another process the holder of a folder of the store, where this one is at work."""
    monkeypatch.setattr(heartbeat, "BEAT_S", 60)  # the thread would end this process
    return lambda folder: leave(folder / ".lock", ELSEWHERE)


def test_who_lost_the_lock_publishes_no_artifact(store, lost):
    with store.open(recipe(), name="thing") as draft:
        (draft.path / "data.bin").write_bytes(b"late")
        lost(draft.path)
        with pytest.raises(InterruptedRun, match="took over") as error:
            draft.publish(summary={})
    assert (error.value.exit_code, error.value.hint is None) == (10, False)
    assert not (draft.path / "artifact.json").exists()
    assert heartbeat.read(draft.path / ".lock.held") == ELSEWHERE


def test_who_lost_the_lock_changes_and_removes_nothing_of_a_run(store, lost):
    path = trained(store, recipe("pretrain", "run"), steps=(10, 20), results=(20,))
    with store.open_run(recipe("pretrain", "run"), name="x") as run:
        (path / "checkpoints" / "30").mkdir()
        (path / "checkpoints" / "30" / "part").write_bytes(b"the next holder's")
        lost(path)
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


def test_a_lock_that_is_put_back_at_once_is_not_lost(tmp_path, monkeypatch):
    """A waiter took it by mistake."""
    path = tmp_path / ".lock"
    monkeypatch.setattr(heartbeat, "BEAT_S", 60)
    with locks.exclusive(place(path), emit=lambda event: None, waiting=""):
        held = heartbeat.beside(path)
        held.rename(tmp_path / "aside")
        back = threading.Timer(2 * heartbeat._POLL_S, (tmp_path / "aside").rename, (held,))
        back.start()
        place(tmp_path / "run.json").write_atomic(b"mine")
        back.join()
    assert (tmp_path / "run.json").read_bytes() == b"mine"


# File systems that other machines see


@pytest.fixture
def on_nfs(monkeypatch):
    """Where flock succeeds, but is one of this machine alone."""
    monkeypatch.setattr(fcntl, "flock", lambda descriptor, operation: None)
    monkeypatch.setattr(mounts, "shared", lambda folder: "nfs4")


@pytest.mark.usefixtures("on_nfs")
def test_a_flock_of_one_machine_is_not_trusted(tmp_path):
    path, order = tmp_path / ".lock", []
    leave(path, ELSEWHERE)  # another machine's, whose flock this one does not see
    assert locks.is_locked(place(path))
    began = time.monotonic()
    take(path, order, "next")
    assert time.monotonic() - began >= heartbeat.STALE_S
    assert order == ["waiting", "next has it", "next leaves"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("on_nfs")
def test_another_machine_sees_who_holds_it(tmp_path):
    path = tmp_path / ".lock"
    with locks.exclusive(place(path), emit=lambda event: None, waiting=""):
        assert heartbeat.read(heartbeat.beside(path)).pid == os.getpid()
        assert path.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_of_this_machine_needs_no_beats(tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(mounts, "shared", lambda folder: None)
    with locks.exclusive(place(tmp_path / ".lock"), emit=lambda event: None, waiting=""):
        assert [p.name for p in tmp_path.iterdir()] == [".lock"]


def test_other_errors_of_flock_are_not_hidden(tmp_path, monkeypatch):
    def broken(descriptor, operation):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(OSError, match="broken"):
        take(tmp_path / ".lock", [], "nobody")
