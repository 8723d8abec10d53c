"""What the system, Python or a library reports, as the expected error that it is to a user.

The command line and `stages.api` say it in the same words.
"""

from __future__ import annotations

import errno
import os
import shlex
import sys
from importlib.machinery import PathFinder
from pathlib import Path

from vitctl.errors import (
    NO_ROOM,
    DoesNotFitError,
    InputError,
    UsageError,
    VitctlError,
    no_room,
)

_FORBIDDEN = {
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "not permitted",
}
_BROKEN = {
    errno.EIO: "the disk reports an error",
    errno.ESTALE: "the file server has lost the file",
}

_FREE = "finished work is kept; free some disk space and run the same command again"


def as_expected(error: BaseException) -> VitctlError | None:
    """The expected error behind an exception, or None if it is a bug."""
    if isinstance(error, VitctlError):
        return error
    if isinstance(error, OSError) and (expected := _system(error)) is not None:
        return expected
    if isinstance(error, ImportError) and (hiding := _hidden(error)) is not None:
        return hiding
    # C++ libraries give the reason only in the text of an error, and wrap that error.
    messages = " ".join(str(cause) for cause in causes(error))
    if (reason := no_room(messages)) is not None:
        return DoesNotFitError(f"cannot write: {reason}", hint=_FREE)
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in messages:
        lines = str(error).strip().splitlines()
        return DoesNotFitError(
            "out of memory" + (f": {lines[0][:200]}" if lines else ""),
            hint="a smaller --batch, smaller images or a smaller model need less",
        )
    return None


def causes(error: BaseException | None) -> list[BaseException]:
    """The exception, what caused it, and the members of groups among them."""
    causes: list[BaseException] = []
    todo = [error]
    while todo:
        current = todo.pop()
        if current is None or current in causes:
            continue
        causes.append(current)
        todo += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            todo += current.exceptions
    return causes


def _system(error: OSError) -> VitctlError | None:
    """The error of a system call that the user can do something about."""
    where = f" ({os.fsdecode(error.filename)})" if isinstance(error.filename, str | bytes) else ""
    if error.errno in NO_ROOM:
        return DoesNotFitError(f"cannot write: {NO_ROOM[error.errno]}{where}", hint=_FREE)
    if error.errno in _FORBIDDEN:
        if where and (closed := _closed_folder(os.fsdecode(error.filename))) is not None:
            return UsageError(
                f"{_FORBIDDEN[error.errno]}{where}",
                hint=f"this user may not enter {closed}: ls -ld {shlex.quote(closed)}",
            )
        if where and os.path.exists(error.filename) and not os.access(error.filename, os.R_OK):
            return UsageError(
                f"cannot read: {_FORBIDDEN[error.errno]}{where}",
                hint="see the permissions: ls -l",
            )
        return UsageError(
            f"cannot write: {_FORBIDDEN[error.errno]}{where}",
            hint="choose a folder you may write to, with --store or --out",
        )
    if error.errno in _BROKEN:
        return InputError(f"cannot read or write: {_BROKEN[error.errno]}{where}", hint=None)
    if error.errno == errno.ENAMETOOLONG:
        return UsageError(f"the name is too long{where}", hint="choose a shorter --name or --out")
    if error.errno == errno.EMFILE:
        return DoesNotFitError("too many files are open", hint="allow more: ulimit -n 4096")
    return None


def _hidden(error: ImportError) -> VitctlError | None:
    """A file of the user's that Python finds in place of a package: `jax.py`, with PYTHONPATH=."""
    name = (error.name or "").partition(".")[0]
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    if file is None:
        return None
    whole = Path(file).parent if Path(file).name == "__init__.py" else Path(file)
    others = [entry for entry in sys.path if Path(entry or ".").resolve() != whole.parent.resolve()]
    package = PathFinder.find_spec(name, others)
    if package is None or package.origin is None or not Path(package.origin).is_file():
        return None
    return UsageError(
        f"{whole} hides the package {name}, which is in {Path(package.origin).parent}",
        hint=f"rename it, or take {whole.parent} out of PYTHONPATH",
    )


def _closed_folder(path: str) -> str | None:
    """The first folder above a path that this user may not enter."""
    for folder in reversed(Path(path).absolute().parents):
        if folder.is_dir() and not os.access(folder, os.X_OK):
            return str(folder)
    return None
