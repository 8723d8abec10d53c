"""How `vitctl doctor` works: checks in processes of their own, told as they come."""

from __future__ import annotations

import textwrap
from pathlib import Path

from vitctl.console.session import Session
from vitctl.console.streams import answer, answer_columns
from vitctl.console.text import safe, styled
from vitctl.doctor import supervise
from vitctl.doctor.checks import CHECKS
from vitctl.doctor.finding import Asked, Finding, exit_code, worst
from vitctl.errors import DoesNotFitError, InputError, UsageError, VitctlError
from vitctl.places import Place

_COLOURS = {"ok": "32", "warn": "33", "fail": "1;31"}
_ERRORS: dict[int, type[VitctlError]] = {2: UsageError, 3: InputError, 6: DoesNotFitError}


def run(session: Session, *, data: str | None, timeout_s: float | None) -> None:
    """Print what was found. Raises the error of the first failed check."""
    asked = Asked(_local(session.store.root).absolute(), _dataset(session, data))
    found = []
    for finding in supervise.findings(CHECKS, asked, patience_s=timeout_s):
        found.append(finding)
        if not session.options.json:
            answer(_lines(finding))
    if session.options.json:
        session.answer_json(
            {
                "verdict": worst(found),
                "store": str(asked.store),
                "dataset": str(asked.dataset) if asked.dataset else None,
                "checks": [finding.as_json() for finding in found],
            }
        )
    if code := exit_code(found):
        failed = [finding for finding in found if finding.verdict == "fail"]
        raise _ERRORS.get(code, UsageError)(
            f"{len(failed)} of {len(found)} checks failed: {', '.join(f.check for f in failed)}",
            hint=failed[0].hint,
        )


def _dataset(session: Session, data: str | None) -> Path | None:
    if data is not None:
        return _local(session.one("dataset", data, option="--data", stdin=False).path)
    newest = session.store.newest("dataset")
    return _local(newest.path) if newest is not None else None


def _local(path: Place) -> Path:
    """Raises UsageError for a bucket: renames, locks and disks are what is looked at."""
    if isinstance(path, Path):
        return path
    raise UsageError(
        f"doctor looks at this machine and its folders; {path} is in a bucket",
        hint="look at the disk that copies go to: vitctl doctor --store FOLDER",
    )


def _lines(finding: Finding) -> str:
    width = max(len(check.name) for check in CHECKS)
    word = styled(
        f"{finding.verdict:<4}", _COLOURS[finding.verdict], terminal=answer_columns() is not None
    )
    indent = " " * (4 + 2 + width + 2)
    columns = max(20, (answer_columns() or 10_000) - len(indent))
    told, *more = _wrapped(finding.told, columns)
    if finding.hint is not None:
        more += _wrapped(f"hint: {finding.hint}", columns)
    return "\n".join([f"{word}  {finding.check:<{width}}  {told}", *(indent + s for s in more)])


def _wrapped(text: str, columns: int) -> list[str]:
    return textwrap.wrap(safe(text), columns, break_long_words=False) or [""]
