"""A signal to a command that the same command continues, wherever the command is: real processes,
each with a hook that says where it is or sends the signal itself."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRETRAIN = [
    "pretrain", "--model", "test", "--mock", "--batch", "16", "--res", "16", "--warmup", "2",
    "--set", "data.mock.examples=64", "--set", "data.eval_split=none", "--set", "model.classes=4",
    "--set", "model.depth=1", "--set", "schedule.timescale_steps=20", "--steps", "4",
    "--checkpoint-every", "2", "--quiet",
]  # fmt: skip
HINT = "hint: run the same command again (without --force) to continue\n"
BEFORE = "stopped: {} before it began; what was done is kept\n" + HINT
# A signal when something is called, once. (What stands for {when} runs before the command.)
SENDING = """
import os, signal, sys
sent = False
def send(*args):
    global sent
    if not sent:
        sent = True
        os.kill(os.getpid(), signal.{name})
{when}
"""


def start(folder, *words, prelude="", program="from stages.app import main; main()"):
    code = f"{prelude}\nimport sys; sys.argv = ['vitctl', *sys.argv[1:]]\n{program}"
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("VITCTL_")},
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
        "VITCTL_STORE": str(folder / "store"),
    }
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder, *words, **options):
    process = start(folder, *words, **options)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def sending(when, *, name="SIGTERM"):
    return SENDING.format(name=name, when=when)


# Each sends at its own place.
IMPORT = """
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "jax.numpy":
            send()
sys.meta_path.insert(0, Finder())
"""
COLLECTING = """
import gc
gc.callbacks.append(lambda phase, info: send() if "jaxlib.xla_client" in sys.modules else None)
"""
LOADING = """
import importlib
load = importlib.import_module
importlib.import_module = lambda *args, **options: (send(), load(*args, **options))[1]
"""
RESTORING = """
from vitctl.train import trainer
begin = trainer._begin
trainer._begin = lambda *args, **options: (send(), begin(*args, **options))[1]
"""
LISTING = """
import stages.shard.run as stage
list_digits = stage.list_digits
stage.list_digits = lambda: (send(), list_digits())[1]
"""


@pytest.mark.parametrize(
    ("words", "when", "name"),
    [
        (PRETRAIN, LOADING, "SIGINT"),
        (PRETRAIN, IMPORT, "SIGTERM"),
        (PRETRAIN, COLLECTING, "SIGINT"),
        (PRETRAIN, RESTORING, "SIGTERM"),
        (["shard", "digits", "--workers", "0", "--quiet"], LISTING, "SIGTERM"),
    ],
    ids=["loading", "import", "lost", "restoring", "shard"],
)
def test_before_it_begins(tmp_path, words, when, name):
    code, out, err = run(tmp_path, *words, prelude=sending(when, name=name))
    assert (code, out) == (10, ""), err
    assert err.lstrip("\n") == BEFORE.format(name)
    assert not list(tmp_path.rglob(".lock*"))


def test_the_first_step_is_finished_and_saved_and_nothing_lost_to_the_next_command(tmp_path):
    compiling = """
from vitctl.train import trainer
make_step = trainer.make_step
def made(*args, **options):
    step = make_step(*args, **options)
    return lambda *args: (send(), step(*args))[1]
trainer.make_step = made
"""
    code, out, err = run(tmp_path, *PRETRAIN, prelude=sending(compiling))
    assert (code, out) == (10, ""), err
    assert "stopped: SIGTERM after step 1; it is saved in " in err
    # The same command, stopped once more before its loop begins, and then left alone.
    code, _, err = run(tmp_path, *PRETRAIN, prelude=sending(RESTORING))
    assert (code, err) == (10, BEFORE.format("SIGTERM"))
    code, out, err = run(tmp_path, *PRETRAIN)
    assert (code, err) == (0, "")
    assert out.endswith("/checkpoints/4\n")


def test_a_signal_after_its_work_is_told_or_changes_nothing(tmp_path):
    when = """
from vitctl.console import session
answer = session.answer
session.answer = lambda text: (send(), answer(text))
"""
    code, out, err = run(tmp_path, *PRETRAIN, prelude=sending(when))
    assert (code, out) == (10, "")
    assert err == f"stopped: SIGTERM between two steps of its work; what was done is kept\n{HINT}"
    when = """
from vitctl.console import verb
end = verb.signals.end
verb.signals.end = lambda: (end(), send())
"""
    code, out, err = run(tmp_path, *PRETRAIN, prelude=sending(when))
    assert (code, err) == (0, "")
    assert out.endswith("/checkpoints/4\n")


def test_waiting_for_another_command(tmp_path):
    """Its own locks are not left behind, and the other one's is not touched."""
    waits = [word for word in PRETRAIN if word != "--quiet"]
    assert run(tmp_path, *PRETRAIN)[0] == 0
    (folder,) = (tmp_path / "store" / "pretrain").iterdir()
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    patient = "from vitctl import signals; signals._GRACE_S = 1000.0"
    process = start(tmp_path, *waits, "--steps", "6", prelude=patient)
    for line in process.stderr:
        if "another vitctl works on" in line:
            break
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (10, ""), err
    assert BEFORE.format("SIGTERM") in err
    assert (folder / ".lock").exists()
    os.close(lock)


# The main thread waits where no signal reaches it.
STUCK = """
import ctypes, os, signal, sys, threading
from vitctl import signals
signals._GRACE_S = {grace_s}
def leave():
    print("left", signals.owner().name, flush=True)
    os._exit(10)
signals.own(leave)
mutex, lib = ctypes.create_string_buffer(128), ctypes.CDLL(None)
lib.pthread_mutex_lock(mutex)
print("here", flush=True)
{how}
"""
WAITING = "lib.pthread_mutex_lock(mutex)"
IN_A_LOOP = f"with signals.graceful():\n    {WAITING}"


def stuck(how, *, grace_s=0.5):
    code = STUCK.format(how=how, grace_s=grace_s)
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"here\n"
    time.sleep(0.5)
    return process


def test_a_main_thread_that_hears_nothing_is_left_behind():
    process = stuck(WAITING)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (10, b"left SIGTERM\n")


def test_a_step_under_way_is_not():
    process = stuck(IN_A_LOOP)
    process.send_signal(signal.SIGTERM)
    time.sleep(1.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 143


@pytest.mark.parametrize("how", [WAITING, IN_A_LOOP])
def test_the_second_signal_ends_it_now(how):
    process = stuck(how, grace_s=1000.0)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130


@pytest.mark.parametrize("own", ["signals.own(leave)\n", ""], ids=["owned", "embedded"])
def test_a_signal_that_comes_twice_at_once_is_one(own):
    """As of coreutils' timeout, which signals the process and then its group."""
    code = STUCK.replace("signals.own(leave)\n", own).format(
        how="with signals.graceful() as stop:\n"
        "    import time\n"
        "    while not stop.requested:\n"
        "        time.sleep(0.01)\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    print('saving', flush=True)\n"
        "    {then}",
        grace_s=1000.0,
    )
    for then, ended in (("pass", 0), ("time.sleep(60)", 143)):
        words = [sys.executable, "-c", code.replace("{then}", then)]
        process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"here\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == b"saving\n"
        if ended:
            time.sleep(0.7)
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == ended


def test_a_forked_child_has_signals_of_its_own():
    """What reaches it is nothing to the command."""
    process = stuck(
        "pid = os.fork()\n"
        "if not pid:\n"
        "    signal.pause()\n"
        "import time\n"
        "time.sleep(0.2)\n"
        "os.kill(pid, signal.SIGTERM)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)\n"
        "time.sleep(1)\n"
    )
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, b"-15\n")


def test_other_commands_end_as_ever(tmp_path):
    """130 and 143: nothing of them goes on."""
    for name, code in (("SIGINT", 130), ("SIGTERM", -signal.SIGTERM)):
        found, _, err = run(tmp_path, "ls", prelude=sending(LOADING, name=name))
        assert found == code
        assert "stopped" not in err
