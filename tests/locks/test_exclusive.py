from __future__ import annotations

import multiprocessing
import os
import signal
import time

from tests.artifacts.making import made, recipe
from vitctl.artifacts import Store
from vitctl.events import silent
from vitctl.locks.exclusive import exclusive, is_locked
from vitctl.places import place

_spawned = multiprocessing.get_context("spawn")


def hold(path, held, release):
    with exclusive(place(path), emit=silent, waiting=""):
        held.set()
        release.wait(30)


def make_slowly(root, started, notes):
    """What a second `vitctl` does meanwhile."""
    store = Store(root)
    started.set()
    with store.open(recipe(a=1), name="thing", emit=lambda event: notes.put(event.text)) as draft:
        notes.put("found" if draft.finished is not None else "made again")


def test_the_second_process_waits_and_finds_it_done(store):
    started, notes = _spawned.Event(), _spawned.Queue()
    other = _spawned.Process(target=make_slowly, args=(store.root, started, notes))
    with store.open(recipe(a=1), name="thing") as draft:
        other.start()
        assert started.wait(30)
        waiting = notes.get(timeout=30)
        assert "waiting for it to finish" in waiting
        (draft.path / "data.bin").write_bytes(b"x")
        draft.publish(summary={})
    assert notes.get(timeout=30) == "found"
    other.join(30)
    assert other.exitcode == 0


def test_a_killed_holder_leaves_no_lock(tmp_path):
    """The kernel gives the lock back, however its holder dies."""
    path = tmp_path / "d" / ".lock"
    held, release = _spawned.Event(), _spawned.Event()
    other = _spawned.Process(target=hold, args=(path, held, release))
    other.start()
    assert held.wait(30)
    assert is_locked(place(path))
    os.kill(other.pid, signal.SIGKILL)
    other.join(30)
    assert path.exists()
    assert not is_locked(place(path))
    with exclusive(place(path), emit=silent, waiting=""):
        assert is_locked(place(path))
    assert not path.exists()


def test_asking_is_not_taking(tmp_path):
    assert not is_locked(place(tmp_path / "nothing"))
    (tmp_path / ".lock").touch()
    assert not is_locked(place(tmp_path / ".lock"))
    assert (tmp_path / ".lock").exists()


def test_two_recipes_do_not_wait_for_each_other(store):
    begun = time.monotonic()
    with store.open(recipe(a=1), name="thing"):
        made(store, recipe(a=2))
    assert time.monotonic() - begun < 5
