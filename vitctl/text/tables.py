"""Tables people have: CSV, TSV, JSON, JSON lines or Parquet, as columns of cells.

A cell is what the file says: text in CSV, a number, text or None in the others. `numbers` turns a
column into floats and names the row it can't; rows count from 1, the header not among them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vitctl import extras
from vitctl.errors import InputError, NotFoundError, UsageError
from vitctl.text import delimited, strict_json
from vitctl.text.quoting import quoted
from vitctl.text.suggestions import suggest
from vitctl.text.textfiles import Readable, Text, decode, read_bytes

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "!=": lambda a, b: a != b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "=": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
}
_CONDITION = re.compile(r"(.+?)(!=|<=|>=|=|<|>)(.*)", re.DOTALL)
_MISSING = ("", None)


class TablePath(Readable, Protocol):
    """A path, or an object in a bucket."""

    @property
    def suffix(self) -> str: ...

    def exists(self) -> bool: ...

    def is_dir(self) -> bool: ...


@dataclass(frozen=True)
class _Columns:
    """Cells by column; `rows` are their numbers where some were left out, `remarks` what reading
    changed."""

    cells: dict[str, list[Any]]
    rows: list[int] | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """Columns of equal length; `rows` are their numbers in the file, `sha256` that of its bytes.

    `remarks` say what reading changed (encoding, line ends, separators), a phrase each.
    """

    source: str
    sha256: str
    columns: dict[str, list[Any]]
    rows: list[int]
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> list[Any]:
        """Cells of a column. Raises InputError, naming the nearest ones."""
        if name not in self.columns:
            listed = ", ".join(self.columns)
            raise InputError(
                f"{self.source} has no column {quoted(name)}",
                hint=suggest(name, self.columns, otherwise=f"it has {listed}", count=3, cutoff=0.5),
            )
        return self.columns[name]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A column as floats; missing cells are NaN. Raises InputError at the first other cell."""
        cells = zip(self.column(name), self.rows, strict=True)
        return np.array([self._number(cell, name, row) for cell, row in cells], np.float64)

    def texts(self, name: str) -> NDArray[np.str_]:
        """A column as text; missing cells are empty."""
        return np.array(["" if cell in _MISSING else str(cell) for cell in self.column(name)])

    def where(self, conditions: Sequence[str]) -> Table:
        """The rows that satisfy every condition, as in `model=G/14,g/14` or `steps>=20000`.

        `=` takes several values with commas. Numbers compare as numbers, else as text.
        """
        keep = np.ones(len(self), bool)
        for condition in conditions:
            match = _CONDITION.fullmatch(condition)
            if not match:
                raise UsageError(
                    f"--where {quoted(condition)} is no condition",
                    hint="write COLUMN=VALUE, or != < <= > >= in place of =",
                )
            name, sign, text = match[1].strip(), match[2], match[3].strip()
            values = text.split(",") if sign in ("=", "!=") else [text]
            cells = self.column(name)
            hits = np.array([any(_holds(cell, sign, v) for v in values) for cell in cells], bool)
            if sign == "!=":
                hits = np.array([all(_holds(cell, sign, v) for v in values) for cell in cells])
            keep &= hits
            if not keep.any():
                shown = ", ".join(str(cell) for cell in list(dict.fromkeys(cells))[:8])
                raise InputError(
                    f"no row of {self.source} is left after --where {condition}",
                    hint=f"{name} has {shown}, ..."
                    if len(set(map(str, cells))) > 8
                    else f"{name} has {shown}",
                )
        return self.take(np.flatnonzero(keep))

    def take(self, index: NDArray[np.intp]) -> Table:
        columns = {name: [cells[i] for i in index] for name, cells in self.columns.items()}
        return replace(self, columns=columns, rows=[self.rows[i] for i in index])

    def _number(self, cell: Any, name: str, row: int) -> float:
        if cell in _MISSING:
            return float("nan")
        value = _as_number(cell)
        if value is None:
            raise InputError(
                f"{name} is not a number in row {row} of {self.source}: {quoted(str(cell)[:40])}",
                hint="correct the table, or leave the row out with --where",
            )
        return value


def read_table(path: TablePath) -> Table:
    """Read a table, its format told by the file's ending.

    Raises NotFoundError (no such file), InputError (not what its ending says, or empty),
    UsageError (an unknown ending, or Parquet without pyarrow).
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None and path.exists() and not path.is_dir():
        raise UsageError(
            f"{path} has an ending that names no table format",
            hint=f"known are {', '.join(_READERS)}",
        )
    try:
        data = read_bytes(path, label=str(path))
    except NotFoundError:
        raise NotFoundError(f"there is no table {path}") from None
    assert reader is not None
    read = reader(data, str(path))
    columns = read.cells
    lengths = {len(cells) for cells in columns.values()}
    if not columns or lengths == {0}:
        raise InputError(f"{path} has no rows", hint="it needs a header and a row a run")
    if len(lengths) > 1:
        raise InputError(f"{path} has columns of different lengths")
    rows = list(range(1, lengths.pop() + 1)) if read.rows is None else read.rows
    return Table(str(path), hashlib.sha256(data).hexdigest(), columns, rows, read.remarks)


def _csv(data: bytes, source: str, *, separator: str = ",") -> _Columns:
    text = decode(data, label=source)
    parsed = delimited.parse(text, separator=separator)
    columns = {name: [row[i] for row in parsed.rows] for i, name in enumerate(parsed.header)}
    return _Columns(columns, rows=parsed.numbers, remarks=(*text.remarks, *parsed.remarks))


def _tsv(data: bytes, source: str) -> _Columns:
    return _csv(data, source, separator="\t")


def _json(data: bytes, source: str) -> _Columns:
    text = decode(data, label=source)
    try:
        value = strict_json.loads(text.text, allow_nan=True)
    except strict_json.StrictJSONError as error:
        raise InputError(f"{source} {error}") from None
    if isinstance(value, dict) and all(isinstance(cells, list) for cells in value.values()):
        return _Columns(value, remarks=text.remarks)
    return _records(value, text)


def _json_lines(data: bytes, source: str) -> _Columns:
    records, text = [], decode(data, label=source)
    for number, line in text.numbered():
        try:
            records.append(strict_json.loads(line, allow_nan=True))
        except strict_json.StrictJSONError as error:
            raise InputError(f"line {number} of {source} {error}") from None
    return _records(records, text)


def _records(value: Any, text: Text) -> _Columns:
    """A list of objects as columns; a key that an object lacks is a missing cell."""
    if not isinstance(value, list) or not all(isinstance(record, dict) for record in value):
        raise InputError(
            f"{text.label} is neither a list of objects nor an object of lists",
            hint='as in [{"compute": 1.5, "error": 0.4}, ...]',
        )
    names = dict.fromkeys(name for record in value for name in record)
    cells = {name: [record.get(name) for record in value] for name in names}
    return _Columns(cells, remarks=text.remarks)


def _parquet(data: bytes, source: str) -> _Columns:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError("reading Parquet needs pyarrow", hint=extras.install("parquet")) from None
    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(data))
    except (pyarrow.ArrowException, OSError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{source} is not valid Parquet: {first}") from None
    return _Columns({name: table.column(name).to_pylist() for name in table.column_names})


_READERS: dict[str, Callable[[bytes, str], _Columns]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".json": _json,
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}


def _as_number(cell: Any) -> float | None:
    if isinstance(cell, bool):
        return None
    if isinstance(cell, str):
        try:
            return None if "_" in cell else float(cell)
        except ValueError:
            return None
    try:
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        return None


def _holds(cell: Any, sign: str, text: str) -> bool:
    left, right = _as_number(cell), _as_number(text.strip())
    if left is not None and right is not None:
        return _COMPARE[sign](left, right)
    shown = "" if cell is None else str(cell)
    return _COMPARE[sign](shown, text.strip())
