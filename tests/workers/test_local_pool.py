"""The pool, with work that needs no TensorFlow: processes here start in a fraction of a second."""

from __future__ import annotations

import errno
import functools
import multiprocessing.context
import multiprocessing.spawn
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S, until
from vitctl.errors import DoesNotFitError, InputError, UsageError
from vitctl.workers.local_pool import run_tasks
from vitctl.workers.task import Done


def total(task, *, poisoned, begin):
    """Sum of the items; items say how they misbehave."""
    result = 0
    for position, item in enumerate(task):
        begin(position)
        if position in poisoned:
            continue
        if item == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if item == "leave":
            os._exit(7)
        if item == "refuse":
            raise InputError("no", hint="yes")
        if item == "bug":
            raise ZeroDivisionError("a bug")
        if item == "wait":
            time.sleep(10 * PATIENCE_S)
        result += item
    return result, dict(poisoned)


def crash_once(task, *, poisoned, begin, mark):
    begin(0)
    if not os.path.exists(mark):
        with open(mark, "w"):
            pass
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def never_ready():
    os._exit(3)


def results(tasks, *, workers, work=total):
    done = [event for event in run_tasks(work, tasks, workers=workers) if isinstance(event, Done)]
    return [event.result for event in sorted(done, key=lambda event: event.task)]


def test_any_number_of_workers_gives_the_same():
    tasks = [[i, 2 * i] for i in range(7)]
    expected = [(3 * i, {}) for i in range(7)]
    assert results(tasks, workers=0) == expected
    assert results(tasks, workers=2) == expected


def test_a_crash_costs_one_item_and_says_how():
    tasks = [[1, "crash", 2], [5], [1, "leave"]]
    result = results(tasks, workers=2)
    assert [value for value, _ in result] == [3, 5, 1]
    assert "SIGSEGV" in result[0][1][1]
    assert "exit code 7" in result[2][1][1]


def test_one_death_alone_blames_nothing(tmp_path):
    work = functools.partial(crash_once, mark=str(tmp_path / "mark"))
    assert results(["ok"], workers=1, work=work) == ["ok"]


def test_expected_errors_keep_their_hint():
    with pytest.raises(InputError) as error:
        results([[1, "refuse"]], workers=1)
    assert (error.value.message, error.value.hint) == ("no", "yes")


def test_a_bug_keeps_the_workers_traceback():
    with pytest.raises(ZeroDivisionError) as error:
        results([["bug"]], workers=1)
    assert "in total" in "".join(error.value.__notes__)


def killed_at_once():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("setup", "error", "says"),
    [
        (never_ready, UsageError, "worker processes cannot start (exit code 3); each runs /"),
        (killed_at_once, DoesNotFitError, "(SIGKILL): it is what a system short of memory does"),
    ],
)
def test_workers_that_never_start_are_an_error_not_a_loop(setup, error, says):
    with pytest.raises(error, match=re.escape(says)) as raised:
        list(run_tasks(total, [[1]], workers=1, setup=setup))
    assert "--workers 0" in raised.value.hint


def test_an_interpreter_that_is_not_there(monkeypatch):
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", b"/nowhere/python")
    with pytest.raises(UsageError, match=r"cannot start .*; each runs") as raised:
        list(run_tasks(total, [[1]], workers=1))
    assert "--workers 0" in raised.value.hint


def test_a_folder_for_shared_memory_that_cannot_be_written(monkeypatch):
    def read_only(context, kind, value):
        raise OSError(errno.EROFS, "Read-only file system", "/dev/shm/pym-1")

    monkeypatch.setattr(multiprocessing.context.SpawnContext, "RawValue", read_only)
    with pytest.raises(UsageError, match=r"share memory .*: /dev/shm/pym-1") as raised:
        list(run_tasks(total, [[1]], workers=1))
    assert "--workers 0" in raised.value.hint
    assert list(run_tasks(total, [[1]], workers=0))


def test_workers_start_where_the_working_folder_is_gone(tmp_path, monkeypatch):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    events = run_tasks(total, [[1, 2]], workers=1)
    assert [event.result for event in events if isinstance(event, Done)] == [(3, {})]


def test_closing_stops_the_workers():
    events = run_tasks(total, [["wait"]], workers=1)
    next(events)
    started = time.monotonic()
    events.close()
    assert time.monotonic() - started < PATIENCE_S


_ORPHANING = """
import multiprocessing, os, signal, sys
from tests.workers.test_local_pool import {work}, {setup}
from vitctl.workers.local_pool import run_tasks

if __name__ == "__main__":
    events = run_tasks({work}, [{task}], workers=1, setup={setup})
    next(events)
    [child] = multiprocessing.active_children()
    print(child.pid, flush=True)
    sys.stdin.read(1)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def slow_setup():
    time.sleep(10 * PATIENCE_S)


def no_setup():
    pass


@pytest.mark.parametrize("setup", ["slow_setup", "no_setup"])
def test_a_worker_ends_with_its_killed_parent(tmp_path, setup):
    """Also while it is set up (TensorFlow's import takes ten seconds), and within an image."""
    script = tmp_path / "orphaning.py"
    script.write_text(_ORPHANING.format(work="total", setup=setup, task=["wait"]))
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    worker = alive_since(int(parent.stdout.readline()))
    parent.stdin.write("x")
    parent.stdin.close()
    assert parent.wait(timeout=PATIENCE_S) == -signal.SIGKILL
    until(lambda: alive_since(worker[0]) != worker, "the worker outlived its parent")


def alive_since(pid):
    """(pid, when it started); None for a start if there is none, or only its exit code is left."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return pid, None
    return pid, None if fields[0] == "Z" else fields[19]


SCRIPT = """
import functools, json, sys
from tests.workers.test_local_pool import total
from vitctl.workers.local_pool import run_tasks
from vitctl.workers.task import Done

print("the program runs", flush=True)
done = [e.result for e in run_tasks(total, [[1, 2], [3]], workers=2) if isinstance(e, Done)]
print(sorted(done), flush=True)
assert sys.modules["__main__"].SCRIPT_IS_MAIN
"""


def test_a_script_needs_no_guard_around_its_main_program(tmp_path):
    """Workers ran the script again, which ran its workers again (pytorch/pytorch#5858)."""
    script = tmp_path / "script.py"
    script.write_text("SCRIPT_IS_MAIN = True\n" + SCRIPT)
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["the program runs", "[(3, {}), (3, {})]"]
