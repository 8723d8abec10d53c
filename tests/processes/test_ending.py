"""How several real processes end when one of them is stopped, dies or hangs.

Slow: each test starts processes of its own, which import and compile for about 20 CPU seconds each.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.processes.running import begin, run
from tests.waiting import PATIENCE_S
from vitctl.locks.exclusive import is_locked

pytestmark = pytest.mark.slow

# A step takes a quarter of a second, so that there is time to send signals between two.
SLOW = """
import time
from vitctl.data import pipeline
train_batches = pipeline.train_batches
def slow_batches(*args, **options):
    for batch in train_batches(*args, **options):
        time.sleep(0.25)
        yield batch
pipeline.train_batches = slow_batches
"""
# Process 1 waits for the sixth batch for ever.
HANGING = """
import time
from vitctl.data import pipeline
train_batches = pipeline.train_batches
def disk_that_hangs(*args, **options):
    for batch in train_batches(*args, **options):
        if index == 1 and batch.step == 5:
            time.sleep(1000)
        yield batch
pipeline.train_batches = disk_that_hangs
"""


def pretrain(store: Path) -> list[object]:
    return [
        "pretrain", "--model", "test", "--mock", "--store", store, "--batch", 16, "--res", 16,
        "--set", "data.mock.examples=64", "--set", "data.eval_split=none",
        "--set", "model.classes=4", "--set", "schedule.warmup_steps=2", "--steps", 200,
        "--checkpoint-every", 10, "--set", "schedule.timescale_steps=20",
    ]  # fmt: skip


def the_run(store: Path) -> Path:
    [path] = (store / "pretrain").iterdir()
    return path


def steps(store: Path) -> list[int]:
    """Those that are saved; none of a run that has no folder yet."""
    saved = store.glob("pretrain/*/checkpoints/*/artifact.json")
    return sorted(int(manifest.parent.name) for manifest in saved)


def begun(store: Path, folder: Path, *, prelude: str = SLOW, hang_s: float = 60):
    """Two processes, some steps into a run."""
    processes = begin(2, *pretrain(store), "--hang-timeout", hang_s, folder=folder, prelude=prelude)
    processes.wait_until(lambda: steps(store) != [])
    return processes


def continues(store: Path, folder: Path) -> None:
    """The same command, alone, goes on from what is saved."""
    saved = steps(store)[-1]
    command = [*pretrain(store), "--steps", saved + 1]
    [ended] = run(1, *command, folder=folder / "alone", devices=2)
    assert ended.code == 0, ended.err
    assert f"from step {saved}" in ended.err


def test_a_signal_to_one_stops_all_after_the_same_step(tmp_path):
    running = begun(tmp_path / "store", tmp_path)
    running.kill(1, signal.SIGTERM)
    first, second = running.ended()
    assert (first.code, second.code) == (10, 10), first.err + second.err
    assert "SIGTERM in process 1 after step" in first.err
    assert (first.out, second.out) == ("", "")
    assert second.err == ""  # process 0 says it
    newest = steps(tmp_path / "store")[-1]
    assert f"after step {newest};" in first.err
    continues(tmp_path / "store", tmp_path)


# Process 1 has begun, and never comes to where process 0 waits for it.
RESTORING = """
import sys, time
from vitctl.train.run import trainer
begin = trainer._begin
def slow(*args, **options):
    if index == 1:
        print("restoring", file=sys.stderr, flush=True)
        time.sleep(1000)
    return begin(*args, **options)
trainer._begin = slow
"""


@pytest.mark.parametrize("number", [0, 1])
def test_a_signal_to_one_before_the_loop_ends_all(tmp_path, number):
    """To the one that restores, and to the one that has gone ahead."""
    store = tmp_path / "store"
    running = begin(2, *pretrain(store), folder=tmp_path, prelude=RESTORING)
    running.wait_until(lambda: "restoring" in running.err(1))
    running.kill(number, signal.SIGTERM)
    ended = running.ended()  # long before process 1 would have come there
    assert [e.code for e in ended] == [10, 10], ended
    assert "SIGTERM before work began\n" in ended[number].err
    assert "Traceback" not in ended[0].err + ended[1].err
    # A run that saved nothing may leave no folder.
    assert [lock for lock in store.glob("pretrain/*/.lock") if is_locked(lock)] == []


# Process 1 lags behind, and gets its signal when process 0 has nothing more to do but to answer.
LATE = """
import os, signal, time
from vitctl.console import session
settle, sent = session.signals.settle, False
def late():
    global sent
    if index == 0 or sent:
        return settle()
    sent = True
    time.sleep(2)
    {order}
session.signals.settle = late
"""


@pytest.mark.parametrize(
    ("order", "codes"),
    [
        ("os.kill(os.getpid(), signal.SIGTERM); settle()", [10, 10]),
        ("settle(); os.kill(os.getpid(), signal.SIGTERM)", [0, 0]),
    ],
    ids=["before", "after"],
)
def test_a_late_signal_to_one_ends_all_or_none(tmp_path, order, codes):
    store = tmp_path / "store"
    ended = run(2, *pretrain(store), folder=tmp_path, prelude=LATE.format(order=order))
    assert [e.code for e in ended] == codes, ended
    assert ended[0].out.count("\n") == codes.count(0) // 2
    continues(store, tmp_path)


def test_a_signal_to_one_ends_all_that_wait_for_another_command(tmp_path):
    """Process 0 waits for the lock, process 1 for process 0."""
    store = tmp_path / "store"
    command = [*pretrain(store), "--steps", 1]
    run(1, *command, folder=tmp_path / "alone", devices=2)
    lock = os.open(the_run(store) / ".lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    running = begin(2, *pretrain(store), folder=tmp_path)
    running.wait_until(lambda: "another vitctl works on" in running.err(0))
    running.kill(1, signal.SIGTERM)
    ended = running.ended()
    os.close(lock)
    assert [e.code for e in ended] == [10, 10], ended
    assert "stopped: process 1 ended: SIGTERM before work began" in ended[0].err
    continues(store, tmp_path)


def test_a_signal_while_the_others_are_awaited(tmp_path):
    """The main thread waits in jax, which hears no signal; the other one tries on for its time."""
    three = ("--processes", 3, "--start-timeout", 30)
    command = pretrain(tmp_path / "store")
    running = begin(2, *command, own=[three, three], folder=tmp_path, prelude=CONNECTING)
    running.wait_until(lambda: all("connecting" in running.err(i) for i in range(2)))
    time.sleep(3)
    running.kill(0, signal.SIGTERM)
    running.running[0].wait(timeout=PATIENCE_S)
    ended = running.ended()
    assert [e.code for e in ended] == [10, 10], ended
    assert "stopped: SIGTERM before work began" in ended[0].err
    assert "process 0 is gone" in ended[1].err


@pytest.mark.parametrize("victim", [0, 1])
def test_when_one_is_killed_the_other_ends_resumable(tmp_path, victim):
    running = begun(tmp_path / "store", tmp_path)
    running.kill(victim, signal.SIGKILL)
    ended = running.ended()
    survivor = ended[1 - victim]
    assert survivor.code == 10, survivor.err
    assert "stopped: process " in survivor.err
    assert f"process {victim} " in survivor.err
    assert "gone" in survivor.err
    continues(tmp_path / "store", tmp_path)


# Says when it begins to wait for the others.
CONNECTING = """
import jax, sys
initialize = jax.distributed.initialize
def and_say(*args, **options):
    print("connecting", file=sys.stderr, flush=True)
    return initialize(*args, **options)
jax.distributed.initialize = and_say
"""
# Process 1 has a batch only every quarter of a second.
STARVING = """
import time
from vitctl.data import pipeline
from vitctl.train.telemetry import starvation
starvation._WINDOW_S = 2
train_batches = pipeline.train_batches
def slow_disk(*args, **options):
    for batch in train_batches(*args, **options):
        if index == 1:
            time.sleep(1)
        yield batch
pipeline.train_batches = slow_disk
"""
# Process 1 never comes to the last barrier.
LEAVING = """
import sys, time
import jax
shutdown = jax.distributed.shutdown
def and_wait():
    if index == 1:
        print("leaving", file=sys.stderr, flush=True)
        time.sleep(1000)
    shutdown()
jax.distributed.shutdown = and_wait
"""
ABORTING = """
import os
import jax
initialize = jax.distributed.initialize
def abort(*args, **options):
    jax._src.distributed.global_state.process_id = 0
    os.abort()
jax.distributed.initialize = abort
"""


def test_when_the_first_is_killed_before_all_are_there_the_others_end_resumable(tmp_path):
    three = ("--processes", 3, "--start-timeout", 20)
    command = pretrain(tmp_path / "store")
    running = begin(2, *command, own=[three, three], folder=tmp_path, prelude=CONNECTING)
    running.wait_until(lambda: all("connecting" in running.err(i) for i in range(2)))
    time.sleep(3)  # nothing tells that it is connected; it is tried again for the 20 s
    running.kill(0, signal.SIGKILL)
    survivor = running.ended()[1]
    assert survivor.code == 10, survivor.err
    assert "process 0 is gone" in survivor.err
    assert "Fatal" not in survivor.err


def test_who_dies_saying_goodbye_does_not_spoil_what_is_done(tmp_path):
    """jax's client aborts in process 0 when another one does not come to its last barrier."""
    command = [*pretrain(tmp_path / "store"), "--set", "model.depth=1", "--steps", 2]
    running = begin(2, *command, folder=tmp_path, prelude=LEAVING)
    running.wait_until(lambda: "leaving" in running.err(1))
    running.kill(1, signal.SIGKILL)
    first = running.ended()[0]
    assert first.code == 0, first.err
    assert first.out.strip().endswith("checkpoints/2")
    assert "Fatal" not in first.err


def test_an_abort_while_connecting_says_who_is_missing(tmp_path):
    """As jax's client does where its deadline passes in it and not in the service."""
    command = pretrain(tmp_path / "store")
    two = ("--processes", 2, "--process-id", 0, "--coordinator", "localhost:1")
    running = begin(1, *command, *two, folder=tmp_path, prelude=ABORTING)
    (ended,) = running.ended()
    assert ended.code == 4, ended.err
    assert "the other processes did not connect" in ended.err


def test_a_stopped_process_is_found(tmp_path):
    running = begun(tmp_path / "store", tmp_path, hang_s=6)
    pid = running.running[1].pid
    running.kill(1, signal.SIGSTOP)
    running.running[0].wait(timeout=PATIENCE_S)
    assert running.running[0].returncode == 10, running.err(0)
    assert f"pid {pid}) gave no sign of life for 6 s; it was " in running.err(0)
    running.kill(1, signal.SIGCONT)
    running.running[1].wait(timeout=PATIENCE_S)  # it finds itself alone
    assert running.running[1].returncode == 10, running.err(1)
    continues(tmp_path / "store", tmp_path)


def test_a_process_that_hangs_in_its_data_is_named_with_its_stack(tmp_path):
    store = tmp_path / "store"
    running = begin(
        2, *pretrain(store), "--checkpoint-every", 3, "--hang-timeout", 6,
        folder=tmp_path, prelude=HANGING,
    )  # fmt: skip
    pid = running.running[1].pid
    ended = running.ended()
    assert [process.code for process in ended] == [10, 10]
    # Process 0 says it; the other one need not.
    assert f"pid {pid}) has been waiting for the images of step 6 for 6 s" in ended[0].err
    assert "disk_that_hangs" in ended[1].err
    assert "disk_that_hangs" not in ended[0].err
    stacks = the_run(store) / "stacks"
    assert "disk_that_hangs" in (stacks / "process-1.txt").read_text()
    assert "disk_that_hangs" not in (stacks / "process-0.txt").read_text()
    assert steps(store) == [3]
    continues(store, tmp_path)


def test_the_process_whose_input_starves_all_is_named(tmp_path):
    """Process 0 waits for it in the step, and tells what it waits for."""
    command = [*pretrain(tmp_path / "store"), "--steps", 45, "--set", "model.depth=1"]
    command += ["--checkpoint-every", 45]
    first, _ = run(2, *command, folder=tmp_path, prelude=STARVING)
    assert first.code == 0, first.err
    assert "the input of process 1 (" in first.err
    rows = (the_run(tmp_path / "store") / "metrics.jsonl").read_text().splitlines()
    waits = [row["data_wait"] for row in map(json.loads, rows) if row["kind"] == "train"]
    assert max(waits[len(waits) // 2 :]) > 0.5
    assert "waiting for data" in first.err


def test_an_error_in_one_ends_all_with_its_code(tmp_path):
    prelude = """
from vitctl.data import pipeline
from vitctl.errors import InputError
train_batches = pipeline.train_batches
def damaged(*args, **options):
    for batch in train_batches(*args, **options):
        if index == 1 and batch.step == 2:
            raise InputError("record 7 of images-train is damaged")
        yield batch
pipeline.train_batches = damaged
"""
    ended = run(2, *pretrain(tmp_path / "store"), folder=tmp_path, prelude=prelude)
    assert [e.code for e in ended] == [3, 3], ended
    assert "error: process 1 ended: record 7 of images-train is damaged" in ended[0].err
    assert ended[1].err.startswith("process 1: error: record 7")


@pytest.mark.parametrize(
    ("flag", "values", "name"),
    [
        ("--lr", (0.001, 0.002), "schedule.peak_lr"),
        ("--checkpoint-every", (3, 4), "runtime.checkpoint_every"),
    ],
)
def test_different_settings_are_named(tmp_path, flag, values, name):
    own = [[flag, value] for value in values]
    ended = run(2, *pretrain(tmp_path / "store"), folder=tmp_path, own=own)
    assert [e.code for e in ended] == [2, 2], ended
    one, two = values
    assert f"error: settings: process 1 has {name} = {two}, process 0 has {one}" in ended[0].err
    assert ended[1].err == ""
    assert not (tmp_path / "store").exists()


def test_a_store_that_one_does_not_see_is_named(tmp_path):
    command = pretrain(Path("artifacts"))  # each works in a folder of its own
    ended = run(2, *command, folder=tmp_path)
    assert [e.code for e in ended] == [4, 4], ended
    assert "does not see the work of process 0" in ended[0].err
    assert "--store names one directory that all processes see" in ended[0].err
    assert json.dumps(ended[1].out) == '""'
