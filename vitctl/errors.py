"""Expected errors, and the one table of exit codes.

An expected error is one sentence plus a hint with the command that helps. Anything else that
escapes is a bug and keeps its traceback (exit code 1).
"""

from __future__ import annotations

import errno
import os
from functools import partial
from typing import Any

from vitctl.printable import visible


class VitctlError(Exception):
    """An expected error. `message` is one sentence; `hint` says what helps, if anything does.

    Both are one printable line each, whatever names of files, columns and classes they hold.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = visible(message)
        self.hint = None if hint is None else visible(hint)
        super().__init__(self.message)


class UsageError(VitctlError):
    """A flag, a configuration value or their combination makes no sense."""

    exit_code = 2


class InputError(VitctlError):
    """An input is corrupt, invalid, changed while read, or does not match another input."""

    exit_code = 3


class NewerFormatError(InputError):
    """An input was written by a later version: not damaged, so nothing may replace it."""


class NotFoundError(VitctlError):
    """A named input does not exist, or the upstream step gave none."""

    exit_code = 4


class OverwriteError(VitctlError):
    """Going on would overwrite something that is not ours to overwrite."""

    exit_code = 5


class DoesNotFitError(VitctlError):
    """Not enough memory or disk for what was asked."""

    exit_code = 6


class InterruptedRun(VitctlError):
    """Stopped on request after saving; the same command continues."""

    exit_code = 10


class DivergedError(VitctlError):
    """The loss or a gradient is not finite; nothing after it was saved."""

    exit_code = 11


class OutOfReachError(Exception):
    """An object store could not be asked: nothing is known of what lies there.

    Not a VitctlError, which says what an artifact is: whoever takes such an error for "damaged" or
    "not there" would go back to an older checkpoint, or train anew, for a network that was down.
    """

    def __init__(self, message: str, *, exit_code: int, hint: str | None = None) -> None:
        self.message = visible(message)
        self.exit_code = exit_code
        self.hint = None if hint is None else visible(hint)
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        # Worker processes send it home; the default would leave out what is given by name.
        return partial(type(self), exit_code=self.exit_code, hint=self.hint), (self.message,)


class DeniedError(OutOfReachError):
    """An object store does not let this user read or write there."""


EXIT_CODES: dict[int, str] = {
    0: "done, or already done",
    1: "a bug in vitctl (with a traceback)",
    2: "wrong usage or configuration",
    3: "an input is corrupt, invalid or does not match",
    4: "an artifact, file or folder was not found",
    5: "the command would overwrite something",
    6: "the work does not fit in memory or on disk",
    10: "interrupted, or a bucket cannot be reached; the same command continues",
    11: "diverged: a loss or gradient was not finite",
    130: "stopped by Ctrl-C (143: by SIGTERM)",
}


NO_ROOM: dict[int, str] = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file grew too large for this file system, or for this shell (ulimit -f)",
}
"""Reasons of the system why nothing more can be written (exit code 6)."""


def no_room(text: str) -> str | None:
    """The reason in `NO_ROOM` that a message of a library names, which wrapped the error."""
    reasons = (reason for number, reason in NO_ROOM.items() if os.strerror(number) in text)
    return next(reasons, None)
