"""A row of `vitctl ls` as a person reads it."""

from __future__ import annotations

from rich.text import Text

from stages.inspect import text
from stages.inspect.ls.spec import ListedRow
from vitctl.console.text import safe

COLUMNS = ("kind", "name", "id", "step", "made", "summary")
_MARKS = {"working": "green", "unfinished": "yellow", "failed": "yellow", "damaged": "bold red"}


def cells(row: ListedRow) -> list[str | Text]:
    summary_text = row.problem or text.in_words(
        "checkpoint" if row.kind == "run" else row.kind, row.summary
    )
    if row.kind == "run":
        summary_text = summary_text or "no checkpoint yet"
        summary_text = summary_text if row.stage == "pretrain" else f"{row.stage}: {summary_text}"
    summary = Text(safe(summary_text))
    if row.state in _MARKS:
        mark = row.state if not summary_text else f"{row.state}: "
        summary = Text.assemble((mark, _MARKS[row.state]), summary)
    short = (row.id or "")[:8]
    made = text.ago(row.made) if row.made else ""
    return [row.kind, row.name, short, text.steps(row.steps), made, summary]
