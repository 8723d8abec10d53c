"""Commands one after the other in one process that is warm: imports, and programs that jax has
compiled, are there after the first. What they print and exit with is as ever.

`Warm` is that process, a fork of one that has imported TensorFlow, or less. `serve` takes a command
a line on stdin, as JSON.
"""

from __future__ import annotations

import faulthandler
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from tests.forking import DECODING, Forked

_SERVE = "import sys; from tests.stages.warm import serve; serve(*sys.argv[1:])"


class Done(NamedTuple):
    code: int
    out: str
    err: str


class Warm:
    """A context manager. What is printed passes through `folder`; `prelude` is Python that runs
    before the first command; `preload`, the modules that are imported (see `tests.forking`)."""

    def __init__(
        self,
        folder: Path,
        *,
        environment: Mapping[str, str],
        prelude: str = "",
        preload: Sequence[str] = DECODING,
    ) -> None:
        self._folder, self._environment, self._prelude = folder, environment, prelude
        self._preload = preload
        self._process: Forked | None = None

    def __enter__(self) -> Warm:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def run(self, *arguments: str) -> Done:
        if self._process is None:
            self._process = Forked(
                _SERVE,
                self._folder,
                self._prelude,
                preload=self._preload,
                cwd=self._folder,
                env={**self._environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        out, err = ((self._folder / name).read_text() for name in ("out", "err"))
        assert answer, f"it died ({self._process.wait()}) in {arguments}: {err}"
        return Done(int(answer), out, err)


def serve(folder: str, prelude: str) -> None:
    from stages.app import main
    from vitctl.console import streams

    faulthandler.enable()  # of descriptor 2, whatever it is by then
    exec(prelude, {})
    orders, answers = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    for order in orders:
        for number, name in enumerate((os.devnull, f"{folder}/out", f"{folder}/err")):
            how = os.O_RDWR | os.O_CREAT | os.O_TRUNC if number else os.O_RDONLY
            opened = os.open(name, how, 0o600)
            os.dup2(opened, number)
            os.close(opened)
        streams._answer = None  # claim the new one
        code: object = 0
        try:
            main(json.loads(order))
        except SystemExit as error:
            code = error.code or 0
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        print(code, file=answers, flush=True)
