from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import signal

import pytest

from tests.artifacts.making import recipe
from tests.forking import LOOKING, Forked
from tests.locks.test_heartbeat import no_flock
from tests.waiting import PATIENCE_S
from vitctl.artifacts import Store
from vitctl.events import silent
from vitctl.locks.exclusive import exclusive, is_locked, remove_stale
from vitctl.places import nofollow, place

_spawned = multiprocessing.get_context("spawn")


def hold(path, held, release):
    with exclusive(place(path), emit=silent, waiting=""):
        held.set()
        release.wait(PATIENCE_S)


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
        assert started.wait(PATIENCE_S)
        waiting = notes.get(timeout=PATIENCE_S)
        assert "waiting for it to finish" in waiting
        (draft.path / "data.bin").write_bytes(b"x")
        draft.publish(summary={})
    assert notes.get(timeout=PATIENCE_S) == "found"
    other.join(PATIENCE_S)
    assert other.exitcode == 0


def test_a_killed_holder_leaves_no_lock(tmp_path):
    """The kernel gives the lock back, however its holder dies."""
    path = tmp_path / "d" / ".lock"
    held, release = _spawned.Event(), _spawned.Event()
    other = _spawned.Process(target=hold, args=(path, held, release))
    other.start()
    assert held.wait(PATIENCE_S)
    assert is_locked(place(path))
    os.kill(other.pid, signal.SIGKILL)
    other.join(PATIENCE_S)
    assert path.exists()
    assert not is_locked(place(path))
    with exclusive(place(path), emit=silent, waiting=""):
        assert is_locked(place(path))
    assert not path.exists()


KILLED = """
import os, signal, sys
from tests.artifacts.making import recipe
from vitctl.artifacts import Store

store = Store(sys.argv[1])
if sys.argv[2] == "run":
    with store.open_run(recipe("pretrain", "run"), name="x"):
        os.kill(os.getpid(), signal.SIGKILL)
with store.open(recipe(), name="x") as draft:
    (draft.path / "data.bin").write_bytes(b"content")
    if sys.argv[2] == "published":
        draft.publish(summary={})
    os.kill(os.getpid(), signal.SIGKILL)  # before the lock is given back
"""


@pytest.fixture
def killed(store):
    """What a process leaves that is killed while it has a lock: the file, which nobody holds."""

    def kill(moment):
        process = Forked(KILLED, str(store.root), moment, preload=LOOKING)
        assert process.wait(PATIENCE_S) == -signal.SIGKILL
        (lock,) = store.root.rglob(".lock")
        assert not is_locked(place(lock))
        return place(lock)

    return kill


@pytest.mark.parametrize("moment", ["draft", "published"])
def test_what_a_kill_leaves_of_a_lock_the_next_command_takes_away(store, killed, moment):
    """Also beside finished work, which is found without the lock."""
    lock = killed(moment)
    with store.open(recipe(), name="x") as draft:
        assert (draft.finished is not None) == (moment == "published")
        assert is_locked(lock) == (moment == "draft")
        if draft.finished is None:
            draft.publish(summary={})
    assert not list(store.root.rglob(".lock*"))


def test_a_lock_of_a_killed_run_is_taken_away(store, killed):
    lock = killed("run")
    with store.open_run(recipe("pretrain", "run"), name="x"):
        assert is_locked(lock)
    assert not list(store.root.rglob(".lock*"))


def test_a_lock_that_is_held_stays(tmp_path):
    path = place(tmp_path / ".lock")
    remove_stale(path)  # none there
    with exclusive(path, emit=silent, waiting=""):
        remove_stale(path)
        assert is_locked(path)
    (tmp_path / ".lock").symlink_to(tmp_path / "victim")
    (tmp_path / "victim").touch()
    remove_stale(path)
    assert (tmp_path / "victim").exists()


def test_asking_is_not_taking(tmp_path):
    assert not is_locked(place(tmp_path / "nothing"))
    (tmp_path / ".lock").touch()
    assert not is_locked(place(tmp_path / ".lock"))
    assert (tmp_path / ".lock").exists()


def test_two_recipes_do_not_wait_for_each_other(store):
    notes = []
    with (
        store.open(recipe(a=1), name="thing"),
        store.open(recipe(a=2), name="thing", emit=notes.append) as draft,
    ):
        assert draft.finished is None
    assert notes == []


def test_who_waits_says_so_once_and_then_has_it(tmp_path, clock):
    path, notes = place(tmp_path / "d" / ".lock"), []
    first = exclusive(path, emit=silent, waiting="", clock=clock)
    first.__enter__()
    clock.once(lambda: first.__exit__(None, None, None), after_s=60)
    began = clock.now_s()
    with exclusive(path, emit=notes.append, waiting="it works", clock=clock):
        assert clock.now_s() - began >= 60
        assert is_locked(path)
    assert [note.text for note in notes] == ["it works"]
    assert not is_locked(path)


@pytest.mark.parametrize("supported", [True, False], ids=["flock", "heartbeat"])
def test_a_folder_that_a_refused_command_removes_is_made_again(tmp_path, monkeypatch, supported):
    """It was empty until the lock file was in it."""
    folder = place(tmp_path / "stage" / "draft")
    make_folder, removals = nofollow.make_folder, iter([folder.remove_if_empty])

    def make_and_lose(path):
        make_folder(path)
        next(removals, lambda: None)()

    monkeypatch.setattr(nofollow, "make_folder", make_and_lose)
    if not supported:
        monkeypatch.setattr(fcntl, "flock", no_flock)
    with exclusive(folder / ".lock", emit=silent, waiting=""):
        assert next(removals, None) is None
        assert is_locked(folder / ".lock")


def test_the_base_of_a_store_may_go_too_while_it_is_made(tmp_path, monkeypatch):
    makedirs, removals = os.makedirs, iter([None])

    def make_and_lose(path, exist_ok):
        for _ in removals:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        makedirs(path, exist_ok=exist_ok)

    monkeypatch.setattr(os, "makedirs", make_and_lose)
    with exclusive(place(tmp_path / "new" / "store" / ".lock"), emit=silent, waiting=""):
        assert next(removals, "lost once") == "lost once"
