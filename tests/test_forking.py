"""A fork of the server is what a new interpreter would be, to who looks at it from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forking import COMMAND, LOOKING, TRAINING, Forked, run, shell_command
from tests.forking.process import cpu_seconds
from tests.waiting import PATIENCE_S, until

BARE = ("json",)

ALL = """
import atexit, os, sys, threading, time
print(sys.argv, __name__, os.getcwd(), os.environ.get("MINE"), sys.stdin.read())
print("error", file=sys.stderr)
atexit.register(lambda: print("exiting"))
threading.Thread(target=lambda: (time.sleep(0.1), print("thread"))).start()
sys.exit(7)
"""


@pytest.fixture(params=["interpreter", "fork"])
def started(request):
    """started(code, *words, options...): the same by `subprocess` and by the server."""

    def begin(code, *arguments, **options):
        if request.param == "fork":
            return Forked(code, *arguments, preload=BARE, **options)
        return subprocess.Popen([sys.executable, "-c", code, *arguments], **options)

    return begin


PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


def test_words_folder_environment_streams_threads_and_exit_code(started, tmp_path):
    environment = {**os.environ, "MINE": "é"}
    process = started(ALL, "a b", cwd=tmp_path, env=environment, text=True, **PIPES)
    out, err = process.communicate("in", timeout=PATIENCE_S)
    lines = [f"['-c', 'a b'] __main__ {tmp_path} é in", "thread", "exiting"]
    assert (process.returncode, out.splitlines(), err) == (7, lines, "error\n")


def test_an_exception_is_a_traceback_and_1(started):
    process = started("print(open(0).read(), end=''); 1 / 0", **PIPES)
    out, err = process.communicate(b"as it is", timeout=PATIENCE_S)
    assert (process.returncode, out) == (1, b"as it is")
    assert err.startswith(b"Traceback")
    assert err.endswith(b"ZeroDivisionError: division by zero\n")


def test_no_descriptor_is_left_open(started):
    code = "import os; print(*sorted(os.listdir('/proc/self/fd')))"
    out, _ = started(code, **PIPES).communicate(timeout=PATIENCE_S)
    assert out.split() == [b"0", b"1", b"2", b"3"]  # 3 is the listing's own


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_signals(started, number):
    process = started("import time; print(1, flush=True); time.sleep(60)", **PIPES)
    assert process.stdout.readline() == b"1\n"
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.01)
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == -number
    assert (b"KeyboardInterrupt" in err) == (number == signal.SIGINT)


def test_a_group_of_its_own(started):
    code = "import os; print(os.getsid(0) == os.getpid(), os.getpid())"
    process = started(code, start_new_session=True, **PIPES)
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert out.split() == [b"True", str(process.pid).encode()]


def test_a_shell_gives_it_words_streams_and_gets_its_exit_code():
    code = "import sys; print(sys.argv[1:], sys.stdin and sys.stdin.read()); sys.exit(4)"
    line = f'called() {{ {shell_command(code, preload=BARE)} "$@"; }}; '
    line += "echo x | called 'a b'; echo $?; called <&-; called >&-"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.stdout == "['a b'] x\n\n4\n[] None\n"
    assert (done.returncode, done.stderr) == (4, "")


def test_what_is_read_at_the_start_cannot_be_given_to_a_fork():
    environment = {**os.environ, "JAX_ENABLE_X64": "1"}
    done = run("print('runs')", preload=BARE, env=environment, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "JAX_ENABLE_X64 is read at the start" in done.stderr


def test_a_process_that_sets_it_for_itself_has_a_server_that_begins_with_it(monkeypatch):
    """As `tests.kills` does, which may run below a worker of pytest-xdist."""
    code = "import os; print(os.environ.get('JAX_ENABLE_X64'))"
    before = os.environ.get("JAX_ENABLE_X64")
    for value in ("1", "0"):
        monkeypatch.setenv("JAX_ENABLE_X64", value)
        assert run(code, preload=BARE, check=True).stdout.decode() == f"{value}\n"
    monkeypatch.undo()
    assert run(code, preload=BARE, check=True).stdout.decode() == f"{before}\n"


def test_devices_are_those_of_the_fork_and_tensorflow_is_not_imported():
    code = "import jax, sys; print(jax.device_count(), 'tensorflow' in sys.modules)"
    flags = "--xla_force_host_platform_device_count=3"
    done = run(code, preload=TRAINING, env={**os.environ, "XLA_FLAGS": flags}, check=True)
    assert done.stdout == b"3 False\n"


def test_looking_needs_neither_numpy_nor_jax():
    code = f"import sys; sys.argv[1:] = ['--version']\ntry:\n    {COMMAND}\nfinally:\n"
    code += "    print({'jax', 'numpy', 'tensorflow'} & sys.modules.keys(), file=sys.stderr)"
    assert run(code, preload=LOOKING, check=True).stderr == b"set()\n"


def test_a_process_ends_with_the_test_that_ordered_it_and_the_server_with_the_last_one(tmp_path):
    code = """
from tests.forking import Forked, process
forked = Forked("import time; time.sleep(600)", preload=("json",))
print(forked.pid, process._server(("json",)), flush=True)
import os, signal
os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = {k: v for k, v in os.environ.items() if k != "PYTEST_XDIST_TESTRUNUID"}
    root = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"PYTHONPATH": root},
        capture_output=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == -signal.SIGKILL
    pid, socket = done.stdout.split()
    until(lambda: not os.path.exists(f"/proc/{int(pid)}"), "the process lives on")
    until(lambda: not os.path.exists(socket), "the server lives on")


def test_its_processor_time_is_counted_with_that_of_its_children():
    """As `just test-cost` lists it."""
    spin = "import time\nwhile time.process_time() < 0.2: pass"
    before = cpu_seconds()
    run(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spin!r}])", preload=BARE)
    assert 0.2 <= cpu_seconds() - before < 2
    run("import time; time.sleep(0.3)", preload=BARE)
    assert cpu_seconds() - before < 2
