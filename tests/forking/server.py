"""The server, SOCKET MODULES...: it imports the modules, uses none, and forks for each order.

It ends when no connection is left: when all test processes that used it have ended.
"""

from __future__ import annotations

import array
import gc
import importlib
import json
import os
import re
import selectors
import shutil
import signal
import socket
import sys
import types
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.forking import client

_READ_AT_START = re.compile(r"JAX_|TF_|PYTHON(?!PATH$)|LANG|LC_")
"""Variables that a fork would read too late: they are as the server has them, or it is an error."""
SET_BY_VITCTL = {
    "TF_ENABLE_ONEDNN_OPTS": "0",  # vitctl.data.tensorflow
    "TF_CPU_ALLOCATOR_USE_BFC": "1",
    "TF_CPU_BFC_MEM_LIMIT_IN_MB": "1048576",
    "JAX_ENABLE_COMPILATION_CACHE": "0",  # vitctl.plan.topology
}
"""What vitctl sets for libraries, in whichever test process runs such code first, and what that
process passes on. A new command begins without them and sets them itself where it needs to."""
_PATIENCE_S = 60


def read_at_start(environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The variables that a fork would read too late, without those that vitctl sets."""
    return tuple(
        (name, value)
        for name, value in sorted(environment.items())
        if _READ_AT_START.match(name) and SET_BY_VITCTL.get(name) != value
    )


class _Server:
    def __init__(self, path: str, *, environment: dict[str, str]) -> None:
        self.environment = environment
        """Of the server, before it imported anything."""
        self.selector = selectors.DefaultSelector()
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(path)
        self.listening.listen(64)
        self.selector.register(self.listening, selectors.EVENT_READ)
        self.connections: set[socket.socket] = set()
        self.children: dict[int, tuple[int, socket.socket, Path | None]] = {}
        """By the descriptor that tells of its end: process id, connection, and where the processor
        time of all that a shell ordered for a test process is counted, in microseconds."""

    def serve(self) -> dict[str, Any] | None:
        """Returns in each fork, with its order; and in the server at its end, with None."""
        while True:
            ready = self.selector.select(None if self.connections else _PATIENCE_S)
            if not ready and not self.connections:
                return None
            for key, _ in ready:
                if key.fileobj is self.listening:
                    connection, _ = self.listening.accept()
                    self.connections.add(connection)
                    self.selector.register(connection, selectors.EVENT_READ)
                elif isinstance(key.fileobj, socket.socket):
                    process = self._order(key.fileobj)
                    if process is not None:
                        return process
                else:
                    self._ended(key.fd)
            if not self.connections:
                return None

    def _order(self, connection: socket.socket) -> dict[str, Any] | None:
        rights = array.array("i")
        header, ancillary, _, _ = connection.recvmsg(4, socket.CMSG_SPACE(3 * rights.itemsize))
        if not header:
            self._left(connection)
            return None
        for _, _, data in ancillary:
            rights.frombytes(data[: len(data) - len(data) % rights.itemsize])
        header += client.receive(connection, 4 - len(header))
        process = json.loads(client.receive(connection, int.from_bytes(header, "big")))
        pid = os.fork()
        if not pid:
            self._become(process, list(rights))
            return process
        for number in rights:
            os.close(number)
        end_descriptor = os.pidfd_open(pid)
        payer = process.get("payer")
        bill = Path(self.listening.getsockname()).with_name(f"{payer}.us") if payer else None
        self.children[end_descriptor] = pid, connection, bill
        self.selector.register(end_descriptor, selectors.EVENT_READ)
        connection.sendall(pid.to_bytes(4, "big"))
        return None

    def _ended(self, end_descriptor: int) -> None:
        self.selector.unregister(end_descriptor)
        os.close(end_descriptor)
        pid, connection, bill = self.children.pop(end_descriptor)
        _, status, usage = os.wait4(pid, 0)
        microseconds = round((usage.ru_utime + usage.ru_stime) * 1e6)
        if bill is not None:
            bill.write_text(str(microseconds + int(bill.read_text() if bill.exists() else 0)))
        if connection in self.connections:
            try:
                connection.sendall(status.to_bytes(4, "big") + microseconds.to_bytes(8, "big"))
            except OSError:  # nobody waits for it any more
                self._left(connection)

    def _left(self, connection: socket.socket) -> None:
        """Whoever ordered a process is gone, and so is the process."""
        self.selector.unregister(connection)
        self.connections.discard(connection)
        connection.close()
        for pid, its, _ in self.children.values():
            if its is connection:
                os.kill(pid, signal.SIGKILL)

    def _become(self, process: dict[str, Any], descriptors: list[int]) -> None:
        """In a fork: what a new interpreter would find."""
        for its in (self.listening, self.selector, *self.connections):
            its.close()
        for end_descriptor in self.children:
            os.close(end_descriptor)
        if process["session"]:
            os.setsid()
        # None of them is 0, 1 or 2: the server has those.
        for number, is_open in enumerate(process["open"]):
            if is_open:
                given = descriptors.pop(0)
                os.dup2(given, number)
                os.close(given)
            else:
                os.close(number)
        os.chdir(process["folder"])
        environment = {
            name: value
            for name, value in process["environment"].items()
            if name in self.environment or SET_BY_VITCTL.get(name) != value
        }
        for name in {*self.environment, *environment}:
            same = self.environment.get(name) == environment.get(name)
            if not same and _READ_AT_START.match(name):
                sys.exit(f"{name} is read at the start: a new interpreter is needed for its value")
        set_by_imports = {k: v for k, v in os.environ.items() if k not in self.environment}
        os.environ.clear()
        os.environ.update(set_by_imports | environment)


def _streams(open_ones: list[bool]) -> None:
    """sys.stdin, stdout and stderr as at the start of an interpreter."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = None
        if open_ones[number]:
            own = getattr(sys, name)
            stream = open(  # noqa: SIM115
                number,
                "w" if number else "r",
                encoding=own.encoding,
                errors=own.errors,
                buffering=1 if number == 2 or os.isatty(number) else -1,
                closefd=False,
            )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _imported(modules: list[str]) -> None:
    for module in modules:
        importlib.import_module(module)
    if "jax" in sys.modules:
        from jax._src import xla_bridge

        # One after its backends started would hang. Of the others jax warns all the same.
        assert not xla_bridge.backends_are_initialized()
        warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)


if __name__ == "__main__":
    for _name, _value in SET_BY_VITCTL.items():
        if os.environ.get(_name) == _value:
            del os.environ[_name]
    _environment = dict(os.environ)
    _imported(sys.argv[2:])
    gc.collect()
    gc.freeze()  # what is not looked through is not copied
    _process = _Server(sys.argv[1], environment=_environment).serve()
    if _process is None:
        shutil.rmtree(os.path.dirname(sys.argv[1]))
    else:
        sys.path[0] = ""
        _streams(_process["open"])
        sys.argv = ["-c", *_process["words"]]
        # By this name, multiprocessing would have its workers run it.
        sys.modules["__main__"] = types.ModuleType("__main__")
        sys.modules["__main__"].__dict__["__builtins__"] = __builtins__
        exec(compile(_process["code"], "<string>", "exec"), sys.modules["__main__"].__dict__)
