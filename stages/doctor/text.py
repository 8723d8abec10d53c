"""A finding as a person reads it."""

from __future__ import annotations

from vitctl.console.streams import answer_columns
from vitctl.console.text import safe, styled, wrapped
from vitctl.doctor.finding import Finding

_COLOURS = {"ok": "32", "warn": "33", "fail": "1;31"}


def lines(finding: Finding, *, width: int) -> str:
    """Verdict, name of the check (`width` characters), message; a hint below."""
    word = styled(
        f"{finding.verdict:<4}", _COLOURS[finding.verdict], terminal=answer_columns() is not None
    )
    indent = " " * (4 + 2 + width + 2)
    columns = max(20, (answer_columns() or 10_000) - len(indent))
    first, *more = wrapped(safe(finding.message), columns)
    if finding.hint is not None:
        more += wrapped(safe(f"hint: {finding.hint}"), columns)
    return "\n".join([f"{word}  {finding.check:<{width}}  {first}", *(indent + s for s in more)])
