"""How `vitctl doctor` works: checks in processes of their own, told as they come."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace

from vitctl.console.session import Session
from vitctl.console.streams import answer, answer_columns
from vitctl.console.text import safe, styled
from vitctl.doctor import supervise
from vitctl.doctor.checks import Check, checks
from vitctl.doctor.finding import Asked, Finding, exit_code, worst
from vitctl.errors import (
    DoesNotFitError,
    InputError,
    InterruptedRun,
    NotFoundError,
    UsageError,
    VitctlError,
)
from vitctl.places import Place

_COLOURS = {"ok": "32", "warn": "33", "fail": "1;31"}
_ERRORS: dict[int, type[VitctlError]] = {
    2: UsageError,
    3: InputError,
    4: NotFoundError,
    6: DoesNotFitError,
    10: InterruptedRun,
}


def run(session: Session, *, data: str | None, timeout_s: float | None) -> None:
    """Print what was found. Raises the error of the first failed check."""
    asked = Asked(session.store.root.absolute(), _named(session, data))
    wanted = checks(asked.store)
    width = max(len(check.name) for check in wanted)
    found: list[Finding] = []

    def look(some: Sequence[Check]) -> None:
        for finding in supervise.findings(some, asked, patience_s=timeout_s):
            found.append(finding)
            if not session.options.json:
                answer(_lines(finding, width=width))

    look([check for check in wanted if check.group != "batches"])
    # Not before it is known whether the store answers.
    if asked.dataset is None and not any(f.check == "reach" and f.verdict == "fail" for f in found):
        asked = replace(asked, dataset=_newest(session))
    look([check for check in wanted if check.group == "batches"])
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


def _named(session: Session, data: str | None) -> Place | None:
    if data is None:
        return None
    return session.one("dataset", data, option="--data", stdin=False).path


def _newest(session: Session) -> Place | None:
    newest = session.store.newest("dataset")
    return newest.path if newest is not None else None


def _lines(finding: Finding, *, width: int) -> str:
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
