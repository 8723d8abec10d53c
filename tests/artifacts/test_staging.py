"""Copies on this machine's disk: what the other processes hear while they grow."""

from __future__ import annotations

import threading
import time

import pytest

from tests.artifacts.making import dataset
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
    told = []
    monkeypatch.setattr(growth, "_GROWTH_S", LOOK_S)
    monkeypatch.setattr(processes, "count", lambda: 2)
    monkeypatch.setattr(processes, "mark", told.append)
    return told


def every(name):
    return True


def test_each_growth_of_a_copy_is_told(store, tmp_path, monkeypatch, marks):
    honest = staging._copied
    stalls = iter([False, True])

    def slow(source, target, entry):
        with target.open("wb") as file:
            for _ in range(5):
                file.write(b"block")
                file.flush()
                time.sleep(5 * LOOK_S)
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
    assert marks.count("copy") >= 1 + 4 * files
    assert marks[-1] == "start"


def wait_for(there):
    for _ in range(6000):
        if there():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to pass")


def test_who_waits_for_another_ones_copy_tells_how_it_grows(store, tmp_path, monkeypatch, marks):
    monkeypatch.setattr(processes, "count", lambda: 1)
    photos = dataset(store)
    monkeypatch.setattr(processes, "count", lambda: 2)
    folder = staging._folder(photos, tmp_path / "cache")
    with exclusive(folder / LOCK, emit=silent, waiting=""):
        words = {"wanted": every, "cache": tmp_path / "cache"}
        waiting = threading.Thread(target=staging.staged, args=(photos,), kwargs=words)
        waiting.start()
        wait_for(lambda: marks)
        time.sleep(10 * LOOK_S)
        assert marks == ["copy"]
        for told in range(2, 5):
            with (folder / ".tmp-images").open("ab") as growing:  # never shorter in between
                growing.write(b"x")
            wait_for(lambda told=told: len(marks) >= told)
        time.sleep(5 * LOOK_S)
        assert marks == ["copy"] * 4
    waiting.join()
    assert marks[-1] == "start"


def test_alone_nothing_is_told(store, tmp_path, monkeypatch, marks):
    monkeypatch.setattr(processes, "count", lambda: 1)
    staging.staged(dataset(store), wanted=every, cache=tmp_path / "cache")
    assert marks == []
