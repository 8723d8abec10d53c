"""An exception -> one sentence, a hint, an exit code."""

from __future__ import annotations

import errno
import sys
import traceback

from rich.console import Console
from rich.text import Text

from vitctl.console.text import safe
from vitctl.errors import VitctlError

_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
_FORBIDDEN = {
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "not permitted",
}


def as_expected(error: BaseException) -> VitctlError | None:
    """The expected error behind an exception, or None if it is a bug."""
    if isinstance(error, VitctlError):
        return error
    if isinstance(error, OSError) and error.errno in (*_FULL, *_FORBIDDEN):
        where = f" ({error.filename})" if error.filename else ""
        expected = VitctlError(
            f"cannot write: {(_FULL | _FORBIDDEN)[error.errno]}{where}",
            hint="what was finished is kept; free some space and run the same command again"
            if error.errno in _FULL
            else "choose a place you may write to: --store or --out",
        )
        expected.exit_code = 6 if error.errno in _FULL else 2
        return expected
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        text = str(error).strip().splitlines()
        expected = VitctlError(
            "out of memory" + (f": {text[0][:200]}" if text else ""),
            hint="a smaller --batch, --res or --model needs less",
        )
        expected.exit_code = 6
        return expected
    return None


def report(error: BaseException) -> int:
    """Tell stderr about an exception and return the exit code."""
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, BrokenPipeError):
        return 0
    expected = as_expected(error)
    console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
    if expected is None:
        traceback.print_exception(error, file=sys.stderr)
        console.print(Text("this is a bug in vitctl; please report it with the lines above"))
        return 1
    word = "stopped: " if expected.exit_code == 10 else "error: "
    style = "bold yellow" if expected.exit_code == 10 else "bold red"
    console.print(Text.assemble((word, style), safe(expected.message)))
    if expected.hint:
        console.print(Text.assemble(("hint: ", "bold"), safe(expected.hint)))
    return expected.exit_code
