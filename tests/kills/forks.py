"""Commands in forks of this process, which has imported jax, orbax and TensorFlow but used none of
them: a fork starts in a tenth of a second where a new process takes ten."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.compiling import QUICK

_POLL_S = 0.002
_PATIENCE_S = 600
_CHANGES = "open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link"
"""What Python does to files; Python tells a hook just before."""
_IN_FOLDER = {"os.remove": 1, "os.rmdir": 1, "os.mkdir": 2, "os.rename": 2, "os.link": 2}
"""Which of the hook's arguments is the open folder that a path is relative to."""


def preload(cache: Path) -> None:
    """Import what the commands import. jax reads its settings now."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = QUICK
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(cache)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "0"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import sklearn.datasets  # noqa: F401
    import tensorflow  # noqa: F401

    # jax warns of every fork: one after its backends started would hang. Here none has.
    from jax._src import xla_bridge

    import stages.app  # noqa: F401

    assert not xla_bridge.backends_are_initialized()
    warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called", category=RuntimeWarning)


@dataclass
class Fork:
    """A running or ended command. `code`: its exit code, -9 if it was killed."""

    pid: int
    folder: Path
    began: float
    code: int | None = None

    def poll(self) -> int | None:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def wait(self, until: float | None = None) -> int | None:
        """Its code; None if it still runs at `until` (of `time.monotonic`)."""
        limit = time.monotonic() + _PATIENCE_S
        while self.poll() is None:
            now = time.monotonic()
            if until is not None and now >= until:
                return None
            if now >= limit:
                self.send(signal.SIGKILL)
                raise AssertionError(f"it hangs:\n{self.err}")
            time.sleep(_POLL_S)
        return self.code

    def wait_for_main(self) -> None:
        """Until the command itself runs: what comes before is no part of it."""
        while self.poll() is None and not (self.folder / "began").exists():
            time.sleep(_POLL_S)

    def send(self, number: int) -> None:
        """A signal to it and, if that is SIGKILL, to the workers it started."""
        with suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)

    @property
    def out(self) -> str:
        return (self.folder / "out").read_text()

    @property
    def err(self) -> str:
        return (self.folder / "err").read_text()

    @property
    def told(self) -> str:
        """The end of what it said; of a crash where it was, without the list of modules."""
        return self.err.partition("\nExtension modules:")[0][-2000:]


def start(
    words: Sequence[object], *, folder: Path, store: Path, dies_at: int | None = None
) -> Fork:
    """Run `vitctl *words` in a fork. `dies_at`: it kills itself when it is about to do so many
    things to files below `store`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "began").unlink(missing_ok=True)
    began = time.monotonic()
    pid = os.fork()
    if pid:
        with suppress(OSError):  # it does so, too; whoever is first
            os.setpgid(pid, pid)
        return Fork(pid, folder, began)
    try:
        os.setpgid(0, 0)
        _redirect(folder)
        faulthandler.enable()  # a crash of native code tells where it was, in `err`
        _count_files(store, dies_at)
        sys.argv = ["vitctl", *map(str, words)]
        from stages.app import main

        (folder / "began").touch()
        main()
    except SystemExit as end:
        _leave(end.code if isinstance(end.code, int) else 0)
    except BaseException:
        traceback.print_exc()
    _leave(1)
    raise AssertionError("unreachable")


def dies(work: Callable[[], None], *, below: Path, at: int) -> bool:
    """Whether `work` was killed, in a fork, when it was about to do so many things to files."""
    pid = os.fork()
    if not pid:
        try:
            os.setpgid(0, 0)
            _count_files(below, at)
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, -signal.SIGKILL), f"by itself, not killed at {at}: exit code {code}"
    return code == -signal.SIGKILL


def files_touched(folder: Path) -> int:
    """How many things to files the command did, which ended by itself."""
    return int((folder / "touched").read_text())


def _redirect(folder: Path) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)


_touched = 0


def _count_files(store: Path, dies_at: int | None) -> None:
    below = str(store)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        global _touched
        if event not in _CHANGES or not arguments:
            return
        path = arguments[0]
        if not isinstance(path, str | bytes | os.PathLike):
            return
        if not _whole(os.fsdecode(path), event, arguments).startswith(below):
            return
        _touched += 1
        if _touched == dies_at:
            os.killpg(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _whole(path: str, event: str, arguments: tuple[Any, ...]) -> str:
    """`shutil.rmtree` names what it removes within a folder that it has open."""
    folder = arguments[_IN_FOLDER[event]] if event in _IN_FOLDER else -1
    return path if folder < 0 else os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)


def _leave(code: int) -> None:
    """Wait for threads as an interpreter does (a checkpoint may be under way), then go."""
    import threading

    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    Path("/proc/self/fd/2").resolve().with_name("touched").write_text(str(_touched))
    os._exit(code)
