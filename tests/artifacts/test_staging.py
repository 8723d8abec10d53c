"""Copies on this machine's disk: what the other processes hear while they grow."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from tests.artifacts.making import dataset
from tests.waiting import until
from vitctl import processes
from vitctl.artifacts import staging
from vitctl.artifacts.crew import growth
from vitctl.artifacts.files import LOCK
from vitctl.events import silent
from vitctl.locks.exclusive import exclusive

LOOK_S = 0.02


@pytest.fixture
def marks(monkeypatch):
    """What one of two processes tells."""
    phases = []
    monkeypatch.setattr(growth, "_GROWTH_S", LOOK_S)
    monkeypatch.setattr(processes, "count", lambda: 2)
    monkeypatch.setattr(processes, "mark", phases.append)
    return phases


def every(name):
    return True


def test_each_growth_of_a_copy_is_told(store, tmp_path, monkeypatch, marks):
    honest = staging._copied
    stalls = iter([False, True])

    def slow(source, target, entry):
        with target.open("wb") as file:

            def grows_until_marked(before):
                file.write(b"block")
                file.flush()
                return len(marks) > before

            for _ in range(5):
                until(partial(grows_until_marked, len(marks)), "the copy's growth was not marked")
        before = len(marks)
        if next(stalls, False):
            time.sleep(10 * LOOK_S)
            assert len(marks) <= before + 1  # the last block may not have been seen yet
        return honest(source, target, entry)

    monkeypatch.setattr(processes, "count", lambda: 1)
    photos = dataset(store)
    monkeypatch.setattr(processes, "count", lambda: 2)
    monkeypatch.setattr(staging, "_AT_ONCE", 1)
    monkeypatch.setattr(staging, "_copied", slow)
    staging.staged(photos, wanted=every, cache=tmp_path / "cache")
    files = len(photos.manifest.files)
    assert files >= 2
    assert marks.count("copy") >= 1 + 5 * files
    assert marks[-1] == "start"


def test_who_waits_for_another_ones_copy_tells_how_it_grows(store, tmp_path, monkeypatch, marks):
    monkeypatch.setattr(processes, "count", lambda: 1)
    photos = dataset(store)
    monkeypatch.setattr(processes, "count", lambda: 2)
    folder = staging._folder(photos, tmp_path / "cache")
    with exclusive(folder / LOCK, emit=silent, waiting=""):
        options = {"wanted": every, "cache": tmp_path / "cache"}
        waiting = threading.Thread(target=staging.staged, args=(photos,), kwargs=options)
        waiting.start()
        until(lambda: marks, "it does not wait")
        time.sleep(10 * LOOK_S)
        assert marks == ["copy"]
        for count in range(2, 5):
            with (folder / ".tmp-images").open("ab") as growing:  # never shorter in between
                growing.write(b"x")
            until(lambda count=count: len(marks) >= count, "the growth was not marked")
        time.sleep(5 * LOOK_S)
        assert marks == ["copy"] * 4
    waiting.join()
    assert marks[-1] == "start"


def test_alone_nothing_is_told(store, tmp_path, monkeypatch, marks):
    monkeypatch.setattr(processes, "count", lambda: 1)
    staging.staged(dataset(store), wanted=every, cache=tmp_path / "cache")
    assert marks == []
