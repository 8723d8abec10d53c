"""A signal to a command that the same command continues, wherever the command is: real processes,
each with a hook that says where it is or sends the signal itself."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.compiling import QUICK
from tests.forking import COMMAND, DECODING, LOOKING, TRAINING, Forked
from tests.waiting import PATIENCE_S, until, until_it_waits
from vitctl.signals.abandoned import Abandoned, BackgroundWork, under_way, unless_abandoned
from vitctl.signals.stop import Insisting

ROOT = Path(__file__).parents[1]
PRETRAIN = [
    "pretrain", "--model", "test", "--mock", "--batch", "16", "--res", "16", "--warmup", "2",
    "--set", "data.mock.examples=64", "--set", "data.eval_split=none", "--set", "model.classes=4",
    "--set", "model.depth=1", "--set", "model.head=gap", "--set", "schedule.timescale_steps=20",
    "--set", "optim.name=sgd", "--steps", "4", "--checkpoint-every", "2", "--quiet",
]  # fmt: skip
BEFORE = "stopped: {} before work began\nhint: run the same command again\n"
LATER = (
    "stopped: {} between two steps of its work; finished work is kept\n"
    "hint: run the same command again (without --force) to continue\n"
)
PATIENT = "from vitctl.signals import ownership as of; of._DEAF_S = of._UNWINDING_S = 1000.0"
"""A machine may be so busy that no thread runs for seconds, which is not what deafness is about."""
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


def begin(folder, *arguments, prelude="", preload=TRAINING, **options):
    """By `preload=LOOKING` a process that has to import all but the command line, jax among it."""
    code = f"{PATIENT}\n{prelude}\nimport sys; sys.argv = ['vitctl', *sys.argv[1:]]\n{COMMAND}"
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("VITCTL_")},
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": QUICK,
        "VITCTL_STORE": str(folder / "store"),
    }
    options |= {"cwd": folder, "env": environment, "stdin": subprocess.DEVNULL, "text": True}
    options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return Forked(code, *arguments, preload=preload, **options)


def run(folder, *arguments, **options):
    process = begin(folder, *arguments, **options)
    out, err = process.communicate(timeout=PATIENCE_S)
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
from vitctl.train.run import trainer
begin = trainer._begin
trainer._begin = lambda *args, **options: (send(), begin(*args, **options))[1]
"""
LISTING = """
import stages.shard.source as stage
list_digits = stage.list_digits
stage.list_digits = lambda: (send(), list_digits())[1]
"""


@pytest.mark.parametrize(
    ("arguments", "when", "name", "preload"),
    [
        (PRETRAIN, LOADING, "SIGINT", LOOKING),
        (PRETRAIN, IMPORT, "SIGTERM", LOOKING),
        (PRETRAIN, COLLECTING, "SIGINT", LOOKING),
        (PRETRAIN, RESTORING, "SIGTERM", TRAINING),
        (["shard", "digits", "--workers", "0", "--quiet"], LISTING, "SIGTERM", DECODING),
    ],
    ids=["loading", "import", "lost", "restoring", "shard"],
)
def test_before_it_begins(tmp_path, arguments, when, name, preload):
    code, out, err = run(tmp_path, *arguments, prelude=sending(when, name=name), preload=preload)
    assert (code, out) == (10, ""), err
    assert err.lstrip("\n") == BEFORE.format(name)
    assert not list(tmp_path.rglob(".lock*"))


def test_a_closed_terminal_is_a_first_signal(tmp_path):
    """It killed the run, which lost the steps since its last checkpoint (mmsegmentation#1998)."""
    heard = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)"  # also below nohup
    prelude = f"{heard}\n{sending(RESTORING, name='SIGHUP')}"
    code, out, err = run(tmp_path, *PRETRAIN, prelude=prelude)
    assert (code, out) == (10, ""), err
    assert err.lstrip("\n") == BEFORE.format("SIGHUP")


def test_nobody_insists_by_closing_a_terminal(monkeypatch):
    """The system sends the signal and so does the shell, later on a busy machine."""
    codes = []
    monkeypatch.setattr(os, "_exit", codes.append)
    insists = Insisting()
    insists.after(signal.SIGHUP)
    later = time.monotonic() + 60
    monkeypatch.setattr(time, "monotonic", lambda: later)
    insists.after(signal.SIGHUP)
    assert codes == []
    insists.after(signal.SIGTERM)
    assert codes == [143]


def test_a_step_is_finished_and_saved_but_nothing_is_to_be_saved_before_the_first(tmp_path):
    calling = """
from vitctl.train.run import setup
make_step, calls = setup.make_step, []
def made(*args, **options):
    step = make_step(*args, **options)
    def call(*args):
        calls.append(None)
        if len(calls) == {}:
            send()
        return step(*args)
    call.lower = step.lower
    return call
setup.make_step = made
"""
    code, out, err = run(tmp_path, *PRETRAIN, prelude=sending(calling.format(1)))
    assert (code, out, err) == (10, "", LATER.format("SIGTERM"))
    assert not list(tmp_path.rglob(".lock*"))
    code, out, err = run(tmp_path, *PRETRAIN, prelude=sending(calling.format(2)))
    assert (code, out) == (10, ""), err
    assert "stopped: SIGTERM after step 2; it is saved in " in err
    code, out, err = run(tmp_path, *PRETRAIN)
    assert (code, err) == (0, "")
    assert out.endswith("/checkpoints/4\n")


def test_a_compiler_of_scores_is_left_behind(tmp_path):
    """It cannot be broken off, and takes 10 s and more; the step is saved without its scores."""
    compiling = """
import time
from vitctl.train.run import setup
make_scorer = setup.scoring.make_scorer
def made(*args, **options):
    def call(*args):
        send()
        time.sleep(1000)
    return call
setup.scoring.make_scorer = made
"""
    command = [
        *("data.eval_split=val" if word == "data.eval_split=none" else word for word in PRETRAIN),
        "--eval-every", "2",
    ]  # fmt: skip
    code, out, err = run(tmp_path, *command, prelude=sending(compiling))
    assert (code, out) == (10, ""), err
    assert "stopped: SIGTERM after step 2; it is saved in " in err
    assert not list(tmp_path.rglob(".lock*"))
    code, out, err = run(tmp_path, *command)
    assert (code, err) == (0, "")
    rows = [json.loads(line) for file in tmp_path.rglob("metrics.jsonl") for line in file.open()]
    assert [row["step"] for row in rows if row["kind"] == "eval"] == [2, 4]


def test_work_of_another_thread_is_awaited_or_abandoned():
    assert unless_abandoned(lambda: 3, gives_up=lambda: False) == 3
    with pytest.raises(ZeroDivisionError):
        unless_abandoned(lambda: 1 // 0, gives_up=lambda: False)
    assert not under_way()
    goes_on = threading.Event()
    with pytest.raises(Abandoned):
        unless_abandoned(goes_on.wait, gives_up=lambda: True)
    assert under_way()
    goes_on.set()
    until(lambda: not under_way(), "the thread goes on")


def test_work_beside_is_begun_before_it_is_waited_for():
    begun = threading.Event()
    work = BackgroundWork(lambda: begun.set() or 3)
    assert begun.wait(PATIENCE_S)
    assert work.result() == 3
    work.abandon()
    assert not under_way()


def test_python_does_not_end_below_abandoned_work():
    """Native threads crash when the interpreter goes: a program that ends waits for them."""
    code = (
        "import sys, threading, time\n"
        "from vitctl.signals.abandoned import unless_abandoned\n"
        "ending = threading.Event()\n"
        "sys.excepthook = lambda *error: (sys.__excepthook__(*error), ending.set())\n"
        "def work(): ending.wait(); time.sleep(0.3); print('whole', flush=True)\n"
        "unless_abandoned(work, gives_up=lambda: True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "whole\n"
    assert done.stderr.splitlines()[-1].startswith("vitctl.signals.abandoned.Abandoned")


def test_a_signal_after_its_work_is_told_or_changes_nothing(tmp_path):
    when = """
from vitctl.console import session
settle = session.signals.settle
session.signals.settle = lambda: (send(), settle())
"""
    code, out, err = run(tmp_path, *PRETRAIN, prelude=sending(when))
    assert (code, out) == (10, "")
    assert err == LATER.format("SIGTERM")
    when = """
from vitctl.console import session
settle = session.signals.settle
session.signals.settle = lambda: (settle(), send())
"""
    code, out, err = run(tmp_path, *PRETRAIN, prelude=sending(when))
    assert (code, err) == (0, "")
    assert out.endswith("/checkpoints/4\n")
    # Nor once the answer is read, while Python takes itself apart.
    for after_s in (0, 0.05, 0.3):
        process = begin(tmp_path, *PRETRAIN)
        assert process.stdout.readline().endswith("/checkpoints/4\n")
        time.sleep(after_s)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, err) == (0, "")


def test_a_signal_during_the_last_shard(tmp_path):
    """It is none that would have come too late."""
    when = """
import vitctl.workers.local_pool as stage
run_tasks = stage.run_tasks
def tasks(*args, **options):
    yield from run_tasks(*args, **options)
    send()
stage.run_tasks = tasks
"""
    command = ["shard", "digits", "--classes", "0-1", "--workers", "0", "--quiet"]
    code, out, err = run(tmp_path, *command, prelude=sending(when), preload=DECODING)
    assert (code, out, err) == (10, "", LATER.format("SIGTERM"))
    code, out, err = run(tmp_path, *command, preload=DECODING)
    assert (code, err) == (0, "")


def ignores(pid, number):
    ignored = Path(f"/proc/{pid}/status").read_text().partition("SigIgn:")[2].split()[0]
    return int(ignored, 16) >> (number - 1) & 1


def test_ctrl_c_to_all_while_the_workers_start(tmp_path):
    """The terminal sends it to them, too."""
    command = ["shard", "digits", "--shards", "6", "--workers", "2"]
    process = begin(tmp_path, *command, preload=DECODING, start_new_session=True)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def ready():  # one of three tracks resources; all ignore Ctrl-C before they import much
        workers = children.read_text().split()
        return len(workers) == 3 and all(ignores(worker, signal.SIGINT) for worker in workers)

    until(ready, "the workers do not start")
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (10, "")
    assert "stopped: " in err
    assert "Traceback" not in err


def test_a_signal_while_an_error_is_told(tmp_path):
    when = """
from vitctl.console import multiprocess
report = multiprocess.report
multiprocess.report = lambda error: (send(), report(error))[1]
"""
    code, out, err = run(tmp_path, "pretrain", "--bogus", prelude=sending(when))
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    assert "--bogus" in err


def test_waiting_for_another_command(tmp_path):
    """Its own locks are not left behind, and the other one's is not touched."""
    waits = [word for word in PRETRAIN if word != "--quiet"]
    assert run(tmp_path, *PRETRAIN)[0] == 0
    (folder,) = (tmp_path / "store" / "pretrain").iterdir()
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    process = begin(tmp_path, *waits, "--steps", "6")
    for line in process.stderr:
        if "another vitctl works on" in line:
            break
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (10, ""), err
    assert BEFORE.format("SIGTERM") in err
    assert (folder / ".lock").exists()
    os.close(lock)


# The main thread waits where no signal reaches it.
STUCK = """
import ctypes, os, signal, sys, threading
from vitctl import signals
from vitctl.signals import ownership as of
of._DEAF_S = {grace_s}
def leave():
    print("left", signals.owner().name, flush=True)
    os._exit(10)
signals.own_signals(leave)
mutex, lib = ctypes.create_string_buffer(128), ctypes.CDLL(None)
lib.pthread_mutex_lock(mutex)
print("here", flush=True)
{how}
"""
WAITING = "lib.pthread_mutex_lock(mutex)"
IN_A_LOOP = f"with signals.graceful():\n    {WAITING}"
COMPILING = f"with signals.graceful(), signals.nothing_to_save():\n    {WAITING}"


def stuck(how, *, grace_s=0.5, ignored=""):
    code = STUCK.format(how=how, grace_s=grace_s)
    if ignored:
        code = f"import signal; signal.signal({ignored}, signal.SIG_IGN)\n{code}"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, **pipes)
    assert process.stdout.readline() == b"here\n"
    until_it_waits(process.pid)
    return process


def wait_until_delivered(process, number):
    """Until it pends no more: of two that pend, the kernel may deliver the later one first."""

    def delivered():
        status = Path(f"/proc/{process.pid}/status").read_text()
        pending = int(status.partition("ShdPnd:")[2].split()[0], 16)
        return not pending >> (number - 1) & 1

    until(delivered, "it was not delivered")


@pytest.mark.parametrize("how", [WAITING, COMPILING])
def test_a_main_thread_that_hears_nothing_is_left_behind(how):
    process = stuck(how)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (10, b"left SIGTERM\n")


DEAF = """
with signals.ending_if_deaf(lambda: print("left", flush=True)):
    print("ready", flush=True)
    {}
"""
CAUGHT = """try:
        signal.pause()
    except KeyboardInterrupt:
        print("released", flush=True)
"""


@pytest.mark.parametrize(
    ("how", "grace_s", "ended"),
    [(WAITING, 0.3, (130, b"left\n")), (CAUGHT, 1000.0, (0, b"released\n"))],
)
def test_ctrl_c_ends_other_commands_that_hear_nothing(how, grace_s, ended):
    """Those that hear it clean up as long as they like."""
    code = STUCK.replace("signals.own_signals(leave)\n", "").format(
        how=DEAF.format(how), grace_s=grace_s
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"here\n"
    assert process.stdout.readline() == b"ready\n"
    until_it_waits(process.pid)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == ended


# It cleans up until it was asked whether its main thread is deaf, which is asked once it cleans up.
CLEANING = """
cleaning, asked = threading.Event(), threading.Event()
ask = of.Owner._leave_if_deaf
of.Owner._leave_if_deaf = lambda owner: (cleaning.wait(), ask(owner), asked.set())
try:
    signal.pause()
except signals.Interrupted:
    cleaning.set()
    {until}
    print("released", flush=True)
    os._exit(0)
"""


@pytest.mark.parametrize(
    ("until", "limit_s", "ended"),
    [
        ("asked.wait()", 1000.0, (0, b"released\n")),
        ("threading.Event().wait()", 0.6, (10, b"left SIGTERM\n")),
    ],
)
def test_one_that_is_cleaning_up_has_more_time(until, limit_s, ended):
    process = stuck(f"of._UNWINDING_S = {limit_s}\n{CLEANING.format(until=until)}", grace_s=0.2)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == ended


def test_what_the_process_was_started_to_ignore_stays_ignored():
    """As Ctrl-C is for what a script runs in the background."""
    process = stuck("sys.stdin.read(); print('done')", ignored="signal.SIGINT")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (0, b"done\n")


def test_a_step_under_way_is_not():
    asking = """
from vitctl.signals import stop as stops
stops._TWICE_S = 0
ask = of.Owner._leave_if_deaf
of.Owner._leave_if_deaf = lambda owner: (ask(owner), print("asked", flush=True))
"""
    process = stuck(asking + IN_A_LOOP)
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == b"asked\n"
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=PATIENCE_S) == 143


def test_a_step_that_takes_long_is_told_of():
    sentence = "signals.owner().acknowledge = lambda: print('told', flush=True)"
    process = stuck(f"{sentence}\n{IN_A_LOOP}")
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == b"told\n"  # so it was delivered
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=PATIENCE_S) == 143


@pytest.mark.parametrize("how", [WAITING, IN_A_LOOP])
def test_the_second_signal_ends_it_now(how):
    process = stuck(how, grace_s=1000.0)
    process.send_signal(signal.SIGTERM)
    wait_until_delivered(process, signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE_S) == 130


@pytest.mark.parametrize("own", ["signals.own_signals(leave)\n", ""], ids=["owned", "embedded"])
def test_a_signal_that_comes_twice_at_once_is_one(own):
    """As of coreutils' timeout, which signals the process and then its group."""
    code = STUCK.replace("signals.own_signals(leave)\n", own).format(
        how="from vitctl.signals import stop as stops\n"
        "stops._TWICE_S = {within_s}\n"
        "with signals.graceful() as stop:\n"
        "    import time\n"
        "    while not stop.requested:\n"
        "        time.sleep(0.01)\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    print('saving', flush=True)\n"
        "    {then}",
        grace_s=1000.0,
    )
    for then, within_s, ended in (("pass", 1000.0, 0), ("time.sleep(600)", 0.5, 143)):
        program = code.replace("{then}", then).replace("{within_s}", str(within_s))
        command = [sys.executable, "-c", program]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"here\n"
        until_it_waits(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == b"saving\n"
        while ended and process.poll() is None:
            time.sleep(0.7)  # longer than it takes two for one, once it has heard the first
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE_S) == ended


def test_a_forked_child_has_signals_of_its_own():
    """What reaches it is nothing to the command."""
    process = stuck(
        "ready, say = os.pipe()\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        "    os.write(say, b'.')\n"
        "    signal.pause()\n"
        "os.read(ready, 1)\n"
        "os.kill(pid, signal.SIGTERM)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)\n"
        "sys.stdin.read()\n"
    )
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (0, b"-15\n")


def test_other_commands_end_as_ever(tmp_path):
    """130 and 143: nothing of them goes on."""
    for name, code in (("SIGINT", 130), ("SIGTERM", -signal.SIGTERM)):
        ended, _, err = run(tmp_path, "ls", prelude=sending(LOADING, name=name), preload=LOOKING)
        assert ended == code
        assert "stopped" not in err
