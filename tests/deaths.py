"""A test process that dies says why.

Of a worker that is gone xdist knows the test and no more: what a test writes to descriptor 2 is
caught and lost with the process, `os._exit` and most signals write nothing, and nobody asks for the
exit code. So each test process writes the stacks of its threads to the real stderr before it ends
itself or a signal that can be heard ends it, and the process that prints says how a worker ended:
by SIGKILL, which cannot be heard, where the system ran out of memory.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pytest

_HEARD = (signal.SIGTERM, signal.SIGHUP)
"""What ends a process that does not handle it. Native crashes are reported by pytest's own use of
faulthandler, Ctrl-C by pytest."""
_LEAVING_S = 30
_stderr = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_stderr] = os.dup(2)  # the real one: pytest catches nothing yet
    os._exit = _speaking(os._exit, stderr=config.stash[_stderr])


def pytest_unconfigure(config: pytest.Config) -> None:
    for number in _HEARD:
        faulthandler.unregister(number)


def _speaking(leave: Any, *, stderr: int) -> Any:
    """`os._exit`, in this process with its stacks first; its forks leave as ever."""
    process = os.getpid()

    def speaking(status: int) -> NoReturn:
        if os.getpid() == process:
            os.write(stderr, f"\nos._exit({status}) ends the test process {process}:\n".encode())
            faulthandler.dump_traceback(stderr)
        leave(status)
        raise AssertionError("unreachable")

    return speaking


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Again before each test: one that handles a signal, or loads libtpu, and puts back what Python
    knows of puts back the silent default."""
    for number in _HEARD:
        if signal.getsignal(number) is signal.SIG_DFL:
            faulthandler.unregister(number)
            faulthandler.register(number, file=item.config.stash[_stderr], chain=True)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """In the process that prints, when a worker ended; by `error` in the middle of its work."""
    if error:
        printer = node.config.pluginmanager.get_plugin("terminalreporter")
        printer.write_line(f"\n{node.gateway.id}: {ending(node.gateway._io.popen)}")


def ending(process: subprocess.Popen[bytes]) -> str:
    """How it ended, or that it goes on."""
    try:
        status = process.wait(_LEAVING_S)
    except subprocess.TimeoutExpired:
        return f"process {process.pid} closed its connection and still runs"
    if status >= 0:
        return f"process {process.pid} ended with exit code {status}"
    name = signal.Signals(-status).name
    return f"process {process.pid} was ended by {name}; of memory the system has {_memory()}"


def _memory() -> str:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return "an unknown amount"
    sizes = dict(line.split(":", 1) for line in lines)
    return f"{sizes['MemAvailable'].strip()} of {sizes['MemTotal'].strip()} available now"
