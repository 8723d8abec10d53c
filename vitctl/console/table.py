"""Aligned columns: fitted to a terminal, one line a row elsewhere."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vitctl.console.streams import answer_columns
from vitctl.console.text import safe

# Wide enough that nothing is ever wrapped where a program may read it.
_UNBOUNDED = 100_000


def table(columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> str:
    """Text of a table without borders for stdout; what doesn't fit wraps in the last column."""
    width = answer_columns()
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns[:-1]:
        grid.add_column(column, no_wrap=True)
    grid.add_column(columns[-1], overflow="fold")
    for row in rows:
        grid.add_row(*(cell if isinstance(cell, Text) else Text(safe(cell)) for cell in row))
    out = io.StringIO()
    console = Console(
        file=out, width=width or _UNBOUNDED, force_terminal=width is not None, highlight=False
    )
    console.print(grid)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())
