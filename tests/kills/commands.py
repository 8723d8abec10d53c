"""Commands that are killed, as forks (`tests.forking`) that lead a group of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.compiling import QUICK
from tests.forking import COMMAND, DECODING, Forked
from tests.waiting import PATIENCE_S

_POLL_S = 0.002
_CODE = f"""
import faulthandler, pathlib, sys
from tests.kills import changes
faulthandler.enable()  # a crash of native code is told in `err`
_, store, count, dies_at, begun, *words = sys.argv
changes.watch(store, dies_at=int(dies_at) if dies_at else None, count=count)
sys.argv = ["vitctl", *words]
pathlib.Path(begun).touch()
{COMMAND}
"""


def set_environment(cache: Path) -> None:
    """Of all commands. The server of forks reads some of it once, at its start."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = QUICK
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(cache)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "0"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"


class Command:
    """`vitctl *words` in a process of its own. `dies_at`: it kills itself when it is about to do so
    many things to files below `store`."""

    def __init__(
        self, arguments: Sequence[object], *, folder: Path, store: Path, dies_at: int | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._begun, self._count = folder / "began", folder / "touched"
        self._begun.unlink(missing_ok=True)
        self.began = time.monotonic()
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            self._process = Forked(
                _CODE,
                *(store, self._count, dies_at or "", self._begun, *arguments),
                preload=DECODING,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def code(self) -> int | None:
        """Its exit code, -9 if it was killed; None while it runs."""
        return self._process.poll()

    def wait(self, until: float | None = None) -> int | None:
        """Its code; None if it still runs at `until` (of `time.monotonic`)."""
        limit = time.monotonic() + PATIENCE_S
        while self.code is None:
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
        while self.code is None and not self._begun.exists():
            time.sleep(_POLL_S)

    def send(self, number: int) -> None:
        """A signal to it and, if that is SIGKILL, to the workers it started."""
        with suppress(ProcessLookupError):
            if number == signal.SIGKILL and self.code is None:
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)

    @property
    def files_touched(self) -> int:
        """How many things it did to files, once it ended by itself."""
        return int(self._count.read_text())

    @property
    def out(self) -> str:
        return (self.folder / "out").read_text()

    @property
    def err(self) -> str:
        return (self.folder / "err").read_text()

    @property
    def last_words(self) -> str:
        """The end of `err`; of a crash where it was, without the list of modules."""
        return self.err.partition("\nExtension modules:")[0][-2000:]
