"""An exception -> one sentence, a hint, an exit code."""

from __future__ import annotations

import errno
import os
import re
import shlex
import sys
import traceback
from importlib.machinery import PathFinder
from pathlib import Path

import typer

from vitctl import signals
from vitctl.console.text import safe, styled
from vitctl.errors import NO_ROOM, InterruptedRun, OutOfReachError, VitctlError, no_room
from vitctl.quoting import as_bytes, quoted
from vitctl.suggestions import did_you_mean, nearest, suggest

_FORBIDDEN = {
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "not permitted",
}
_BROKEN = {
    errno.EIO: "the disk reports an error",
    errno.ESTALE: "the file server has lost the file",
}

# typer's base of all errors of usage; it names only some of the classes below it.
_TyperUsageError = typer.BadParameter.__mro__[1]


def as_expected(error: BaseException) -> VitctlError | None:
    """The expected error behind an exception, or None if it is a bug."""
    if (by_signal := stopped(error)) is not None:
        return by_signal
    if isinstance(error, VitctlError):
        return error
    if isinstance(error, OutOfReachError):
        return _expected(error.exit_code, error.message, hint=error.hint)
    if isinstance(error, Exception) and isinstance(error, _TyperUsageError):
        return _usage(error)
    if isinstance(error, OSError) and (expected := _system(error)) is not None:
        return expected
    if isinstance(error, ImportError) and (expected := _hidden(error)) is not None:
        return expected
    # C++ libraries give the reason only in the text of an error, and wrap that error.
    messages = " ".join(str(cause) for cause in _causes(error))
    if (reason := no_room(messages)) is not None:
        return _expected(6, f"cannot write: {reason}", hint=_FREE)
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in messages:
        lines = str(error).strip().splitlines()
        return _expected(
            6,
            "out of memory" + (f": {lines[0][:200]}" if lines else ""),
            hint="a smaller --batch, --res or --model needs less",
        )
    return None


def stopped(error: BaseException | None = None) -> VitctlError | None:
    """What to say if the exception comes of the first signal to a command that the same command
    continues, or if there is no exception yet; None if it does not."""
    owner = signals.owner()
    by_signal = error is None or any(isinstance(c, signals.Interrupted) for c in _causes(error))
    if owner is None or not by_signal:
        return None
    if not owner.began:
        return InterruptedRun(f"{owner.name} before work began", hint="run the same command again")
    return InterruptedRun(
        f"{owner.name} between two steps of its work; finished work is kept",
        hint="run the same command again (without --force) to continue",
    )


def report(error: BaseException, *, prefix: str = "") -> int:
    """Tell stderr about an exception and return the exit code. `prefix` says whose it is."""
    expected = as_expected(error)
    if isinstance(error, KeyboardInterrupt) and expected is None:
        return 130
    if expected is None:
        traceback.print_exception(error, file=sys.stderr)
        print("this is a bug in vitctl; please report it with the lines above", file=sys.stderr)
        return 1
    stopped = expected.exit_code == 10
    word = styled("stopped:", "1;33") if stopped else styled("error:", "1;31")
    print(prefix + word, safe(expected.message), file=sys.stderr)
    if expected.hint:
        print(prefix + styled("hint:", "1"), safe(expected.hint), file=sys.stderr)
    return expected.exit_code


_FREE = "finished work is kept; free some disk space and run the same command again"


def _expected(code: int, message: str, *, hint: str | None) -> VitctlError:
    expected = VitctlError(message, hint=hint)
    expected.exit_code = code
    return expected


def _system(error: OSError) -> VitctlError | None:
    """The error of a system call that the user can do something about."""
    where = f" ({os.fsdecode(error.filename)})" if isinstance(error.filename, str | bytes) else ""
    if error.errno in NO_ROOM:
        return _expected(6, f"cannot write: {NO_ROOM[error.errno]}{where}", hint=_FREE)
    if error.errno in _FORBIDDEN:
        if where and (closed := _closed_folder(os.fsdecode(error.filename))) is not None:
            return _expected(
                2,
                f"{_FORBIDDEN[error.errno]}{where}",
                hint=f"this user may not enter {closed}: ls -ld {shlex.quote(closed)}",
            )
        if where and os.path.exists(error.filename) and not os.access(error.filename, os.R_OK):
            return _expected(
                2,
                f"cannot read: {_FORBIDDEN[error.errno]}{where}",
                hint="see the permissions: ls -l",
            )
        return _expected(
            2,
            f"cannot write: {_FORBIDDEN[error.errno]}{where}",
            hint="choose a folder you may write to, with --store or --out",
        )
    if error.errno in _BROKEN:
        return _expected(3, f"cannot read or write: {_BROKEN[error.errno]}{where}", hint=None)
    if error.errno == errno.ENAMETOOLONG:
        return _expected(2, f"the name is too long{where}", hint="choose a shorter --name or --out")
    if error.errno == errno.EMFILE:
        return _expected(6, "too many files are open", hint="allow more: ulimit -n 4096")
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
    return _expected(
        2,
        f"{whole} hides the package {name}, which is in {Path(package.origin).parent}",
        hint=f"rename it, or take {whole.parent} out of PYTHONPATH",
    )


def _closed_folder(path: str) -> str | None:
    """The first folder above a path that this user may not enter."""
    for folder in reversed(Path(path).absolute().parents):
        if folder.is_dir() and not os.access(folder, os.X_OK):
            return str(folder)
    return None


def _usage(error: Exception) -> VitctlError:
    """typer's error of usage in our words: one sentence without a capital, then a hint."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "vitctl"
    unknown = getattr(error, "option_name", None)
    if unknown is not None and (possible := getattr(error, "possibilities", None)):
        near = nearest(unknown, possible, cutoff=0)
        return _expected(2, f"{path} has no option {unknown}", hint=did_you_mean(near))
    if (sentence := _unreadable(error)) is not None:
        return _expected(2, sentence, hint=f"see {path} --help")
    sentence = " ".join(error.format_message().split())  # type: ignore[attr-defined]
    sentence = as_bytes(sentence.removesuffix(".").replace("Value error, ", ""))
    sentence = re.sub(r"^No such option: (.*)$", rf"{path} has no option \1", sentence)
    choice = re.search(r"'([^']*)' is not one of (.*)$", sentence)
    if choice:
        options = re.findall(r"'([^']*)'", choice[2])
        hint = suggest(choice[1], options, otherwise=f"see {path} --help")
        return _expected(2, _lower(sentence), hint=hint)
    return _expected(2, _lower(sentence), hint=f"see {path} --help")


_NUMBERS = {
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
}


def _unreadable(error: Exception) -> str | None:
    """A sentence on a value that its option cannot be read from, which pydantic checks for typer;
    None for other errors. Choices and parsers of our own have messages of their own."""
    problems, option = getattr(error.__cause__, "errors", None), getattr(error, "param", None)
    if problems is None or option is None:
        return None
    first = problems()[0]
    said = first["msg"].removeprefix("Input should be ")
    said = said.replace("greater than or equal to", "at least")
    said = _NUMBERS.get(first["type"]) or said.replace("less than or equal to", "at most")
    if first["type"] in ("value_error", "literal_error", "enum"):
        return None
    name = option.opts[0] if option.param_type_name == "option" else option.human_readable_name
    return f"{name} must be {said} (got {quoted(first['input'])})"


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _causes(error: BaseException | None) -> list[BaseException]:
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
