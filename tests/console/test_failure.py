"""Every exit code of the table that an exception can cause, and what is said with it."""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path

import pytest
import typer

from vitctl import errors
from vitctl.console.failure import as_expected, report


def said(error, monkeypatch):
    """(exit code, lines on stderr)"""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    try:
        raise error
    except BaseException as raised:
        code = report(raised)
    return code, stream.getvalue().splitlines()


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.UsageError, 2),
        (errors.InputError, 3),
        (errors.NotFoundError, 4),
        (errors.OverwriteError, 5),
        (errors.DoesNotFitError, 6),
        (errors.DivergedError, 11),
    ],
)
def test_expected_errors_are_a_sentence_and_a_hint(kind, code, monkeypatch):
    result = said(kind("it is \x1b[31mbad", hint="do\nthis"), monkeypatch)
    assert result == (code, ["error: it is \\x1b[31mbad", "hint: do\\x0athis"])
    assert code in errors.EXIT_CODES


def test_an_interrupted_run_is_no_error(monkeypatch):
    assert said(errors.InterruptedRun("saved"), monkeypatch) == (10, ["stopped: saved"])


@pytest.mark.parametrize(
    ("error", "code", "sentence_part"),
    [
        (OSError(errno.ENOSPC, "x", "/a"), 6, "the disk is full (/a)"),
        (OSError(errno.EDQUOT, "x"), 6, "quota"),
        (OSError(errno.EFBIG, "x"), 6, "too large"),
        (OSError(errno.EROFS, "x", b"/a"), 2, "read-only (/a)"),
        (PermissionError(errno.EACCES, "x", "/a"), 2, "cannot write: permission denied (/a)"),
        (OSError(errno.ENAMETOOLONG, "x"), 2, "too long"),
        (OSError(errno.EIO, "x"), 3, "disk reports an error"),
        (OSError(errno.EMFILE, "x"), 6, "too many files"),
        (MemoryError(), 6, "out of memory"),
        (RuntimeError("RESOURCE_EXHAUSTED: wants 3 GiB"), 6, "wants 3 GiB"),
        (ValueError("write: No space left on device [x]"), 6, "the disk is full"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_the_system_reports(error, code, sentence_part, monkeypatch):
    result, lines = said(error, monkeypatch)
    assert result == code
    assert sentence_part in lines[0]
    assert len(lines) <= 2


def test_a_folder_that_a_user_may_not_enter_is_named(tmp_path, monkeypatch):
    closed = tmp_path / "closed"
    closed.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != closed)
    error = PermissionError(errno.EACCES, "x", str(closed / "a" / "b.csv"))
    code, lines = said(error, monkeypatch)
    assert code == 2
    assert lines[0] == f"error: permission denied ({closed}/a/b.csv)"
    assert lines[1].endswith(f"ls -ld {closed}")


def test_a_full_disk_is_found_behind_other_exceptions():
    wrapped = RuntimeError("could not save")
    wrapped.__cause__ = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert as_expected(wrapped).exit_code == 6
    group = ExceptionGroup("several", [ValueError("a"), ValueError("No space left on device")])
    assert as_expected(group).exit_code == 6


@pytest.mark.parametrize(
    "error",
    [
        ValueError("boom"),
        KeyError("x"),
        AssertionError(),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        FileNotFoundError(errno.ENOENT, "No such file", "/x"),
    ],
    ids=repr,
)
def test_a_bug_keeps_its_traceback(error, monkeypatch):
    """A broken pipe too: streams of ours never raise it, so it is a worker's that died."""
    code, lines = said(error, monkeypatch)
    assert code == 1
    assert lines[0].startswith("Traceback")
    assert any("test_failure.py" in line for line in lines)
    assert lines[-1].startswith("this is a bug in vitctl")


def test_ctrl_c_says_nothing(monkeypatch):
    assert said(KeyboardInterrupt(), monkeypatch) == (130, [])


def test_usage_errors_of_typer_speak_our_language(monkeypatch):
    assert typer.BadParameter.__mro__[1].__name__ == "UsageError"
    code, lines = said(typer.BadParameter("Input is bad.", param_hint="--x"), monkeypatch)
    assert (code, lines[0]) == (2, "error: invalid value for --x: Input is bad")


def test_a_file_that_hides_a_package_is_named(tmp_path, monkeypatch):
    """`jax.py` in the working folder, and PYTHONPATH=. (python/cpython#101210)."""
    (tmp_path / "typer.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "typer"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError) as raised:
        import typer.testing  # noqa: F401
    expected = as_expected(raised.value)
    assert expected.exit_code == 2
    assert expected.message.startswith(f"{tmp_path / 'typer.py'} hides the package typer, which is")
    assert str(tmp_path) in expected.hint
    assert as_expected(ImportError("no such thing", name="nowhere")) is None
    assert as_expected(ImportError("a bug of ours", name="vitctl.nothing")) is None
