"""Runs checks in a process of its own: python -m vitctl.doctor.child FD, the work on stdin as JSON.

For each check a line on descriptor FD when it begins, and one with the finding when it ends.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from vitctl.doctor.checks import Check
from vitctl.doctor.finding import CheckRequest, Finding
from vitctl.errors import OutOfReachError, VitctlError
from vitctl.text import strict_json


def main() -> None:
    answer = int(sys.argv[1])
    work = strict_json.own_text(sys.stdin.read())
    _run(
        [Check(**check) for check in work["checks"]],
        CheckRequest.from_json(work["request"]),
        answer,
    )
    # Libraries that hang in their destructors must not keep the answer.
    os._exit(0)


def _run(checks: Iterable[Check], request: CheckRequest, answer: int) -> None:
    for check in checks:
        _tell(answer, {"begins": check.name})
        began = time.perf_counter()
        finding = _finding(check, request)
        finding = replace(finding, seconds=round(time.perf_counter() - began, 3))
        _tell(answer, {"finding": finding.as_json()})


def _finding(check: Check, request: CheckRequest) -> Finding:
    """The result of a check; an exception is a finding, too."""
    try:
        return check.run(request)
    except (VitctlError, OutOfReachError) as error:
        return Finding(
            check.name,
            "fail",
            error.message,
            error.hint or "docs/guide/doctor.md says what this check does",
            exit_code=max(2, error.exit_code),
        )
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        message = f"{error.strerror or _named(error)}{where}"
        hint = (
            "choose a --store that you have permission to write to"
            if check.group in _OF_STORE
            else _REPORT
        )
        return Finding(check.name, "fail", message, hint)
    except Exception as error:
        return Finding(check.name, "fail", _named(error), _REPORT)


_OF_STORE = ("store", "bucket", "bucket disk")
_REPORT = "vitctl did not expect this error; please report it with the line above"


def _named(error: Exception) -> str:
    """Type and text of an error, or the place where it was raised if it has no text."""
    if message := " ".join(str(error).split())[:300]:
        return f"{type(error).__name__}: {message}"
    raised = traceback.extract_tb(error.__traceback__)[-1:]
    return type(error).__name__ + "".join(f" in {at.filename}:{at.lineno}" for at in raised)


def _tell(answer: int, line: dict[str, Any]) -> None:
    os.write(answer, (json.dumps(line) + "\n").encode())


if __name__ == "__main__":
    main()
