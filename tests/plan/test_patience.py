"""A wait that Ctrl-C ends, though what is waited for goes on."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S, until
from vitctl.plan.patience import interruptible

ROOT = Path(__file__).parents[2]


def test_values_and_exceptions_come_through():
    assert interruptible(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 / 0)


def _ticks(stat: Path) -> int:
    """The processor time that a process has used, in hundredths of a second."""
    return int(stat.read_text().rpartition(")")[2].split()[11])


@pytest.mark.parametrize(
    ("wait", "rounds", "prompt"),
    [("interruptible(compile)", 200_000_000, True), ("compile()", 4_000_000, False)],
)
def test_an_interrupt_ends_the_wait_at_once(wait, rounds, prompt):
    """`compile` is deaf for a minute, as C++ is, and for a second where it is just called: the
    difference is what is tested."""
    code = f"""
import hashlib, sys
from vitctl.plan.patience import interruptible

def compile():
    print("compiling", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", {rounds})

try:
    {wait}
except KeyboardInterrupt:
    sys.exit(130)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"compiling\n"
        stat = Path(f"/proc/{process.pid}/stat")
        before = _ticks(stat)
        until(lambda: _ticks(stat) > before + 5, "it does not compute")
        began = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        process.send_signal(signal.SIGINT)
        _, output = process.communicate(timeout=PATIENCE_S)
        took = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - began
    assert process.returncode == 130
    assert output == b""
    assert took < 15 if prompt else took > 0.3


def test_sigterm_is_taken_back_from_a_library():
    """libtpu takes it, behind Python's back, and prints its stacks when it comes."""
    code = """
import ctypes, os, signal
from vitctl.plan.topology import _take_back_sigterm
libc = ctypes.CDLL(None)
exit_7 = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda number: os._exit(7))
libc.signal(signal.SIGTERM, exit_7)
if {takes_back}:
    _take_back_sigterm()
os.kill(os.getpid(), signal.SIGTERM)
"""
    for takes_back, ended in ((False, 7), (True, -signal.SIGTERM)):
        program = [sys.executable, "-c", code.format(takes_back=takes_back)]
        assert subprocess.run(program, cwd=ROOT, check=False).returncode == ended
