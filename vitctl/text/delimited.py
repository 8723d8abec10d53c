"""Rows of cells in text: CSV, TSV and what spreadsheets call CSV are read, CSV is written.

The separator is the one of the file's ending where every row then has the header's number of cells;
otherwise the first of comma, semicolon and tab that gives a table. Separators after the last cell
(`a,b,`) make no column.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vitctl.errors import InputError
from vitctl.text.quoting import quoted
from vitctl.text.textfiles import Text

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+")


@dataclass(frozen=True)
class Rows:
    """A header and rows of as many cells, whitespace around each cell left out.

    `numbers` are the rows' places in the text, from 1 without the header and blank lines; `remarks`
    say what was not as the file's ending has it, a phrase each.
    """

    header: list[str]
    rows: list[list[str]]
    numbers: list[int]
    remarks: tuple[str, ...] = ()


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """CSV of one row or more, whose columns are those of the first."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def parse(text: Text, *, separator: str = ",", numbers: bool = True) -> Rows:
    """The header and rows of a text; `numbers` says whether a decimal comma becomes a point.
    Raises InputError: empty, bad quotes, rows of other lengths, two columns of a name."""
    cells, problem = _split(text, separator)
    chosen, remarks = separator, []
    if problem or not _is_table(cells):
        for other in (one for one in _SEPARATORS if one != separator):
            again, bad = _split(text, other)
            if not bad and _is_table(again):
                cells, problem, chosen = again, None, other
                remarks.append(f"separated by {_SEPARATORS[other]}")
                break
    if problem:
        raise InputError(f"{text.label} is not valid CSV: {problem}")
    if not cells:
        raise InputError(f"{text.label} is empty", hint="it needs a header and rows below it")
    cells, trailing = _without_trailing(cells)
    if trailing:
        remarks.append("separators after the last cell were left out")
    header, rows = cells[0], cells[1:]
    places = [number for number, row in enumerate(rows, start=1) if any(row)]
    if len(places) < len(rows):
        remarks.append(f"rows without any cell were left out ({len(rows) - len(places)})")
        rows = [row for row in rows if any(row)]
    _check(header, rows, places, label=text.label)
    if numbers and chosen != "," and _has_decimal_commas(rows):
        rows = [[_with_point(cell) for cell in row] for row in rows]
        remarks.append("commas were read as decimal points")
    return Rows(header=header, rows=rows, numbers=places, remarks=tuple(remarks))


def _split(text: Text, separator: str) -> tuple[list[list[str]], str | None]:
    """Rows of stripped cells without blank lines, and what is wrong with the quotes, if anything
    is."""
    stream = io.StringIO(text.text, newline="")
    reader = csv.reader(stream, delimiter=separator, strict=True, skipinitialspace=True)
    try:
        rows = [[cell.strip() for cell in row] for row in reader if row]
    except csv.Error as error:
        return [], str(error)
    # Excel's own first line: sep=;
    if rows and re.fullmatch(r"sep=.?", "".join(rows[0])):
        rows = rows[1:]
    while rows and not any(rows[0]):
        rows = rows[1:]
    return rows, None


def _is_table(lines: list[list[str]]) -> bool:
    """Whether there are two columns or more, and every row has a cell for each."""
    if not lines:
        return False
    lines, _ = _without_trailing(lines)
    return len(lines[0]) > 1 and all(len(row) == len(lines[0]) for row in lines if any(row))


def _without_trailing(lines: list[list[str]]) -> tuple[list[list[str]], bool]:
    """The rows without the columns at the right that have neither a name nor a cell."""
    width = len(lines[0])
    while width > 1 and not lines[0][width - 1]:
        width -= 1
    if any(cell for row in lines for cell in row[width:]):
        return lines, False
    return [row[:width] for row in lines], any(len(row) > width for row in lines)


def _check(header: list[str], rows: list[list[str]], numbers: list[int], *, label: str) -> None:
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        raise InputError(f"{label} has more than one column {quoted(min(twice))}")
    for number, row in zip(numbers, rows, strict=True):
        if len(row) != len(header):
            raise InputError(
                f"row {number} of {label} has {len(row)} cells where the header has {len(header)}"
            )


def _has_decimal_commas(rows: list[list[str]]) -> bool:
    """Whether commas inside numbers can only be decimal points: 0,25 is, 1,500 may be either."""
    cells = [cell for row in rows for cell in row if _DECIMAL_COMMA.fullmatch(cell)]
    return any(not _THOUSANDS.fullmatch(cell) for cell in cells)


def _with_point(cell: str) -> str:
    return cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell
