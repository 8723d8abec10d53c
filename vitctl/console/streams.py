"""stdout belongs to the answer; references to inputs arrive on stdin.

Libraries print (Gloo, drivers, C++ code). So at process start the real stdout is moved to a private
descriptor and descriptor 1 is made to mean stderr. Answers go to the private one, each as one
write, and a closed pipe is not an error.
"""

from __future__ import annotations

import json
import os
import select
import stat
import sys
from contextlib import suppress
from io import TextIOWrapper

from vitctl.errors import InputError, NotFoundError
from vitctl.events import Emit, Note

_answer: int | None = None
_PATIENCE_S = 1.0


def claim_stdout() -> None:
    """Move stdout to a private descriptor. Until `silence_stdout`, print() still reaches it, so
    that --help and completion work."""
    global _answer
    if _answer is not None:
        return
    # A closed 0, 1 or 2 would be handed out to the next file opened; pin them to /dev/null.
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
            os.set_inheritable(descriptor, True)
    _answer = os.dup(1)
    os.dup2(2, 1)
    errors = "surrogateescape"
    sys.stdout = TextIOWrapper(os.fdopen(os.dup(_answer), "wb"), encoding="utf-8", errors=errors)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115 - lives as long as the process


def silence_stdout() -> None:
    """From here on print() of anyone goes to stderr; only `answer` reaches stdout."""
    claim_stdout()
    with suppress(OSError):
        sys.stdout.flush()
    sys.stdout = sys.stderr


def answer(line: str) -> None:
    """Write one line to the real stdout. A reader that went away is not an error."""
    claim_stdout()
    assert _answer is not None
    data = os.fsencode(line) + b"\n"
    try:
        while data:
            data = data[os.write(_answer, data) :]
    except BrokenPipeError:
        pass


def stdin_is_pipe() -> bool:
    """Whether stdin is a pipe or socket, the only kinds that are ever read."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def read_references(*, what: str, several: bool, emit: Emit) -> list[str]:
    """Lines of stdin, each a path or an object of `--json`. Must run before jax is imported.

    Reads one line, or with `several` all of them, byte by byte so that nothing beyond is taken.
    Raises NotFoundError (exit 4) at the end of input without a line: the step before failed.
    """
    lines: list[str] = []
    pending = bytearray()
    announced = False
    while True:
        if not announced and not select.select([0], [], [], _PATIENCE_S)[0]:
            emit(Note(f"waiting for the path of a {what} on stdin"))
            announced = True
        byte = os.read(0, 1)
        if byte not in (b"", b"\n"):
            pending += byte
            continue
        if pending.strip():
            lines.append(_reference(os.fsdecode(bytes(pending)).rstrip("\r")))
            if not several:
                return lines
        pending.clear()
        if not byte:
            break
    if not lines:
        raise NotFoundError(
            f"the previous step gave no artifact: stdin ended without the path of a {what}",
            hint="see its message above; 'set -o pipefail' lets the shell report it, too",
        )
    return lines


def _reference(line: str) -> str:
    if not line.startswith("{"):
        return line
    try:
        return str(json.loads(line)["path"])
    except (ValueError, KeyError, TypeError):
        raise InputError(
            "stdin holds a line that is neither a path nor an object of --json"
        ) from None
