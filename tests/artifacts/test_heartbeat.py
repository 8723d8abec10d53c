"""The lock for file systems without flock, with flock made to fail as it does there."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import signal
import threading
import time
from dataclasses import replace

import pytest

from vitctl.artifacts import heartbeat, locks
from vitctl.artifacts.heartbeat import Holder

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
    with locks.exclusive(path, emit=lambda event: order.append(event.text), waiting="waiting"):
        order.append(f"{name} has it")
        time.sleep(hold_s)
        order.append(f"{name} leaves")


def leave(path, holder):
    """What a holder that died left behind."""
    heartbeat.beside(path).write_bytes(heartbeat._content(holder))


ELSEWHERE = Holder("someone", "node7", "node7 other-boot", 17)


@pytest.mark.slow  # a loaded machine may starve a thread
def test_one_at_a_time(tmp_path):
    path, order = tmp_path / "run" / ".lock", []
    first = threading.Thread(target=take, args=(path, order, "first"), kwargs={"hold_s": 1.0})
    first.start()
    while "first has it" not in order:
        time.sleep(0.01)
    assert locks.is_locked(path)
    take(path, order, "second")  # longer than STALE_S: the holder's count moves
    first.join()
    expected = ["first has it", "waiting", "first leaves", "second has it", "second leaves"]
    assert order == expected
    assert not locks.is_locked(path)
    assert not heartbeat.beside(path).exists()


def test_a_count_that_stands_still_is_taken_over(tmp_path):
    path, order = tmp_path / ".lock", []
    leave(path, ELSEWHERE)
    assert locks.is_locked(path)  # another machine's: not known to be dead
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
    leave(path, Holder("someone", "here", heartbeat._where(), other.pid))
    assert locks.is_locked(path)
    os.kill(other.pid, signal.SIGKILL)
    other.join()
    assert not locks.is_locked(path)
    order = []
    take(path, order, "next")
    assert order == ["next has it", "next leaves"]


@pytest.mark.slow  # a loaded machine may starve a thread
def test_of_many_that_find_it_stale_one_gets_it_at_a_time(tmp_path):
    path, order, inside, worst = tmp_path / ".lock", [], [], []
    leave(path, ELSEWHERE)

    def work():
        with locks.exclusive(path, emit=order.append, waiting=""):
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
def test_a_holder_that_lost_its_lock_ends(tmp_path):
    """It stood still for so long that another works there now."""
    path = tmp_path / ".lock"
    other = _spawned.Process(target=hold_without_flock, args=(path,))
    other.start()
    while heartbeat.read(heartbeat.beside(path)) is None:
        time.sleep(0.01)
    leave(path, ELSEWHERE)
    other.join(30)
    assert other.exitcode == 10


def hold_without_flock(path):
    fcntl.flock, heartbeat.BEAT_S = no_flock, 0.05
    with locks.exclusive(path, emit=lambda event: None, waiting=""):
        time.sleep(60)


def test_other_errors_of_flock_are_not_hidden(tmp_path, monkeypatch):
    def broken(descriptor, operation):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(OSError, match="broken"):
        take(tmp_path / ".lock", [], "nobody")
