"""stdout belongs to the answer; references to inputs arrive on stdin.

Libraries print (Gloo, drivers, C++ code). So at process start the real stdout is moved to a private
descriptor and descriptor 1 is made to mean stderr. Answers go to the private one, each as one
write, and a closed pipe is not an error. Our own stderr is private, too, so that what others write
to descriptor 2 can be caught (`native_output`).
"""

from __future__ import annotations

import errno
import io
import os
import select
import stat
import sys
from contextlib import suppress
from typing import Any

from vitctl import processes
from vitctl.console.text import path_of
from vitctl.errors import InputError, NotFoundError
from vitctl.events import Emit, Note
from vitctl.text import strict_json

_answer: int | None = None
_terminal: int | None = None
_PATIENCE_S = 1.0
MOST_LINES = 100_000
MOST_LINE_BYTES = 2 * 2**20
"""Of references on stdin. The summary of a dataset of 21,843 classes has half a MB; what holds more
is no list of references, and may never end."""


class _Forgiving(io.FileIO):
    """A stream that drops what cannot be written: `only` for one errno, else for any."""

    def __init__(self, descriptor: int, *, only: int | None) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._only = only

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if self._only not in (None, error.errno):
                raise
            return memoryview(data).nbytes


def claim_stdout() -> None:
    """Move stdout to a private descriptor. Until `silence_stdout`, print() still reaches it, so
    that --help and completion work."""
    global _answer, _terminal
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
    _answer, _terminal = os.dup(1), os.dup(2)
    os.dup2(2, 1)
    sys.stdout = _text(_Forgiving(_answer, only=errno.EPIPE), errors="surrogateescape")
    # Progress that nobody can read any more is no reason to stop a week of training.
    sys.stderr = _text(_Forgiving(_terminal, only=None), errors="backslashreplace")


def _text(raw: io.FileIO, *, errors: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding="utf-8", errors=errors, line_buffering=True
    )


def silence_stdout() -> None:
    """From here on print() of anyone goes to stderr; only `answer` reaches stdout."""
    claim_stdout()
    with suppress(OSError):
        sys.stdout.flush()
    sys.stdout = sys.stderr


def drop_prints() -> None:
    """What C++ code prints from here on is dropped: Gloo tells of every connection."""
    silence_stdout()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def answer(text: str) -> bool:
    """Write a line (or several) to the real stdout; of several processes, the first does. A reader
    that went away is not an error: False says so."""
    if not processes.first():
        return True
    claim_stdout()
    assert _answer is not None
    data = os.fsencode(text) + b"\n"
    while data:
        try:
            data = data[os.write(_answer, data) :]
        except BrokenPipeError:
            return False
        except BlockingIOError:  # whoever made the pipe wants it non-blocking
            select.select([], [_answer], [])
    return True


def terminal() -> int:
    """The descriptor of the real stderr, whatever 2 means by now."""
    claim_stdout()
    assert _terminal is not None
    return _terminal


def answer_columns() -> int | None:
    """How wide the terminal is that the answer goes to; None if it goes elsewhere."""
    claim_stdout()
    assert _answer is not None
    if not os.isatty(_answer):
        return None
    try:
        columns = os.get_terminal_size(_answer).columns
    except OSError:
        columns = 0
    return columns or 80  # a terminal that doesn't know its size


def stdin_is_pipe() -> bool:
    """Whether stdin is a pipe or socket, the only kinds that are ever read."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def read_references(*, what: str, several: bool, emit: Emit) -> list[str]:
    """Lines of stdin, each a path or an object of `--json`; `what` says of what: "a dataset". Must
    run before jax is imported.

    Reads one line, or with `several` all of them, byte by byte so that nothing beyond is taken.
    Raises NotFoundError (exit 4) at the end of input without a line: the step before failed;
    InputError (exit 3) for more than any list of references holds.
    """
    lines: list[str] = []
    pending = bytearray()
    announced = False
    while True:
        if not announced and not select.select([0], [], [], _PATIENCE_S)[0]:
            emit(Note(f"waiting for the path of {what} on stdin"))
            announced = True
        try:
            byte = os.read(0, 1)
        except BlockingIOError:
            select.select([0], [], [])
            continue
        if byte not in (b"", b"\n"):
            if len(pending) == MOST_LINE_BYTES:
                raise _no_references(what, f"a line of more than {MOST_LINE_BYTES:,} bytes")
            pending += byte
            continue
        if pending.strip():
            lines.append(_reference(os.fsdecode(bytes(pending)).rstrip("\r")))
            if not several:
                return lines
            if len(lines) > MOST_LINES:
                raise _no_references(what, f"more than {MOST_LINES:,} lines")
        pending.clear()
        if not byte:
            break
    if not lines:
        raise NotFoundError(
            "the command before the pipe printed no artifact: "
            f"stdin ended without the path of {what}",
            hint="see its message above; 'set -o pipefail' makes the shell report it, too",
        )
    return lines


def _no_references(what: str, holds: str) -> InputError:
    return InputError(
        f"stdin holds {holds}, but the path of {what} is expected",
        hint="pipe in the answer of another vitctl command, or give the path as an argument",
    )


def _reference(line: str) -> str:
    if not line.startswith("{"):
        return line
    try:
        path = strict_json.loads(line)["path"]
    except (ValueError, KeyError, TypeError):
        path = None
    if not isinstance(path, str):
        raise InputError("stdin holds a line that is neither a path nor an object of --json")
    return path_of(path)
