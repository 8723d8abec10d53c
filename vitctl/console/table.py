"""Aligned columns: fitted to a terminal, one line a row elsewhere."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from vitctl.console.streams import answer_columns
from vitctl.console.text import safe

_GAP = 2
_INDENT = 2
# Prose in a column narrower than this breaks within words and numbers.
_LEAST_PROSE = 20


def table(columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> str:
    """Text of a table without borders for stdout. On a terminal what doesn't fit wraps in the last
    column; columns for which there is no room stand on further lines of each row, indented, and no
    cell but the last one of a row is ever cut or broken.
    """
    width = answer_columns()
    if width is None:
        return _plain(columns, rows)
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True, highlight=False)
    head = [Text(column, style="bold") for column in columns]
    body = [[cell if isinstance(cell, Text) else Text(safe(cell)) for cell in row] for row in rows]
    widths = [max(cell.cell_len for cell in column) for column in zip(head, *body, strict=True)]
    lines = _lines_of_columns(widths, console.width)
    for row in (head, *body):
        for line in _drawn(row, widths, lines, console):
            console.print(line, soft_wrap=True)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _plain(columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> str:
    """One line a row, whatever its width, where a program may read it: without rich, which takes
    0.4 ms a row."""
    body = [[c.plain if isinstance(c, Text) else safe(c) for c in row] for row in rows]
    every = [list(columns), *body]
    widths = [max(map(cell_len, column)) for column in zip(*every, strict=True)]
    return "\n".join(
        "".join(
            cell + " " * (width - cell_len(cell) + _GAP)
            for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in every
    )


def _lines_of_columns(widths: Sequence[int], width: int) -> list[range]:
    """Which columns stand side by side on each line of a row."""
    needed = [*widths[:-1], min(widths[-1], _LEAST_PROSE)]
    starts, end = [0], 0
    for column, cells in enumerate(needed):
        if column > starts[-1] and end + _GAP + cells > width:
            starts.append(column)
            end = _INDENT + cells
        else:
            end += cells if column == 0 else _GAP + cells
    return [range(*bounds) for bounds in zip(starts, [*starts[1:], len(widths)], strict=True)]


def _drawn(
    row: Sequence[Text], widths: Sequence[int], lines: Sequence[range], console: Console
) -> Iterator[Text]:
    for number, columns in enumerate(lines):
        line = Text(" " * _INDENT if number else "")
        for column in columns[:-1]:
            line.append_text(row[column])
            line.append(" " * (widths[column] - row[column].cell_len + _GAP))
        last = row[columns[-1]]
        if columns[-1] < len(row) - 1:
            yield line + last
            continue
        room = max(1, console.width - line.cell_len)
        for part, wrapped in enumerate(last.wrap(console, room, overflow="fold") or [Text()]):
            yield (Text(" " * line.cell_len) if part else line) + wrapped
