"""Processes of a server that the first of them starts, one for all workers of a test run."""

from __future__ import annotations

import fcntl
import hashlib
import inspect
import os
import select
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests.forking import client
from tests.forking.server import read_at_start

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "from stages.app import main; main()"
"""`vitctl`."""
FORKED_WORKERS = """
import multiprocessing, os, signal
by_name = multiprocessing.get_context
multiprocessing.get_context = lambda _: by_name("fork")
os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
"""
"""Before a command: its pools are of forks, too, which have TensorFlow imported as it has, and no
handler, as if they were spawned. A worker that is spawned imports it again, for 10 s of processor
time; that one can be is tested in tests/ingest/write, and with a command's own work in
test_signals.py."""
LOOKING = (
    "stages.app",
    "stages.inspect.ls.text",
    "stages.inspect.show.text",
    "stages.inspect.verify.run",
    "stages.inspect.ls.command",
    "stages.inspect.show.command",
    "stages.inspect.verify.command",
    "stages.rm.command",
    "vitctl.console.display",
    "rich.table",
)
"""Modules of commands that compute nothing: neither NumPy nor jax is among what they import."""
SCALING = (
    *LOOKING,
    "stages.scaling.fit.command",
    "stages.scaling.fit.run",
    "stages.scaling.plot.command",
    "stages.scaling.plot.run",
    "stages.report.command",
    "stages.report.run",
)
"""And of those that fit laws, and draw pages of them: SciPy."""
TRAINING = (
    *LOOKING,
    "stages.pretrain.command",
    "stages.pretrain.run",
    "stages.cooldown.command",
    "stages.cooldown.run",
    "stages.fewshot.command",
    "stages.fewshot.run",
)
"""And of those that train on made-up images: no TensorFlow."""
DECODING = (
    *TRAINING,
    "stages.shard.command",
    "stages.shard.run",
    "tests.forking.tensorflow",
    "sklearn.datasets",
)
"""And of those that decode images by TensorFlow, or make the dataset of digits."""
_START_S = 300
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex
_POPEN = inspect.signature(subprocess.Popen._execute_child)  # type: ignore[attr-defined]


class Forked(subprocess.Popen[Any]):
    """`Popen([sys.executable, "-c", code, *words], **options)`, forked of a process that has
    imported the modules of `preload`."""

    def __init__(
        self, code: str, *arguments: object, preload: Sequence[str], **options: Any
    ) -> None:
        self._socket = _server(tuple(preload))
        self._connection: socket.socket | None = None
        super().__init__([sys.executable, "-c", code, *map(str, arguments)], **options)

    def _execute_child(self, *given: Any) -> None:
        """Instead of fork and exec."""
        options = _POPEN.bind(self, *given).arguments
        for name in ("preexec_fn", "pass_fds", "shell"):
            assert not options[name], name
        _, _, code, *arguments = options["args"]
        process = {
            "code": code,
            "words": arguments,
            "folder": os.path.abspath(options["cwd"] or "."),
            "environment": dict(os.environ if options["env"] is None else options["env"]),
            "session": options["start_new_session"],
        }
        theirs = [options["p2cread"], options["c2pwrite"], options["errwrite"]]
        descriptors = [number if own == -1 else own for number, own in enumerate(theirs)]
        self._connection = client.connect(self._socket)
        self.pid = client.order(self._connection, process, descriptors=descriptors)
        self._child_created = True
        names = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(options[name] for name in names))

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        assert self._connection is not None
        if wait_flags & os.WNOHANG and not select.select([self._connection], [], [], 0)[0]:
            return 0, 0
        status, seconds = client.status(self._connection)
        self._connection.close()
        _CPU_SECONDS.append(seconds)
        return self.pid, status

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if self.returncode is None and self._connection is not None:
            pid, status = self._try_wait(os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def run(
    code: str,
    *arguments: object,
    preload: Sequence[str],
    timeout: float | None = None,
    check: bool = False,
    input: Any = None,
    **options: Any,
) -> subprocess.CompletedProcess[Any]:
    """`subprocess.run([sys.executable, "-c", code, *words], ...)`; stdout and stderr are captured
    unless they are given."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if input is not None:
        streams["stdin"] = subprocess.PIPE
    with Forked(code, *arguments, preload=preload, **{**streams, **options}) as process:
        try:
            out, err = process.communicate(input, timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(process.args, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done


def shell_command(code: str, *, preload: Sequence[str]) -> str:
    """What a shell calls with words: the process, for its exit code."""
    program = [sys.executable, "-I", "-S", client.__file__, _server(tuple(preload))]
    return shlex.join([*program, str(os.getpid()), code])


def _server(preload: tuple[str, ...]) -> str:
    """The path of its socket. It lives as long as a test process that has called this. A process
    that sets what is read at the start for itself (`tests.kills`, below a worker of pytest-xdist)
    has a server of its own."""
    return _server_beginning_with(preload, read_at_start(os.environ))


@cache
def _server_beginning_with(preload: tuple[str, ...], variables: tuple[tuple[str, str], ...]) -> str:
    name = hashlib.sha256(repr((preload, variables)).encode()).hexdigest()[:8]
    folder = Path(tempfile.gettempdir()) / f"vitctl-forks-{_RUN}-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "socket"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            _KEEPING.append(client.connect(str(path)))
        except OSError:
            path.unlink(missing_ok=True)
            _launch(path, preload)
    return str(path)


def cpu_seconds() -> float:
    """The processor time of all forks that this process, or a shell for it, has waited for."""
    bills = [Path(server.getpeername()).with_name(f"{os.getpid()}.us") for server in _KEEPING]
    return sum(_CPU_SECONDS) + sum(map(_microseconds, bills)) / 1e6


def _microseconds(bill: Path) -> int:
    """By opening it: a test may have put its own in place of `os.stat`."""
    try:
        return int(bill.read_text())
    except FileNotFoundError:
        return 0


_CPU_SECONDS: list[float] = []
_KEEPING: list[socket.socket] = []
_PARTS: list[subprocess.Popen[bytes]] = []


def _launch(path: Path, preload: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "tests.forking.server", str(path), *preload]
    with path.with_suffix(".log").open("wb") as log:
        server = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _PARTS.append(server)
    for _ in range(int(_START_S / 0.01)):
        try:
            _KEEPING.append(client.connect(str(path)))
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.01)
        else:
            return
    raise AssertionError(f"no server of forks: {path.with_suffix('.log').read_text()}")
