"""Tables of labels as columns of cells: CSV, TSV, JSON lines, or lines of a path and labels after
spaces, by the one reader of text files."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vitctl.errors import InputError
from vitctl.ingest.litter import IMAGE_ENDINGS
from vitctl.text import delimited, strict_json
from vitctl.text.textfiles import Text

ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson")
"""Of tables that are looked for among images."""

TEXT_TABLES = re.compile(r"list_(attr_celeba|eval_partition)\.txt")
"""Names of CelebA's own tables, which are text; Kaggle has them as CSV."""

Cell = str | tuple[str, ...] | None
"""Text, a list of texts, or nothing."""

_MOST_COLUMNS = 100_000
_ENDS = "|".join(ending[1:] for ending in sorted(IMAGE_ENDINGS))
_PATH_AND_LABELS = re.compile(rf"(\S.*?\.(?:{_ENDS}))[ \t]+(\S.*)", re.IGNORECASE)
"""A line of the lists of Caffe and of many papers: `train/cat 1.jpg 7`."""
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
PARTITION = re.compile(r"list_eval_partition\.(txt|csv)")
"""CelebA's table of splits."""
_PARTITIONS = {"0": "train", "1": "val", "2": "test"}
"""Its numbers."""


@dataclass(frozen=True)
class Cells:
    """A table of labels before anything is known of its meaning.

    Attributes:
      label: how sentences name it.
      columns: name -> cells, each as long as the table.
      remarks: what reading changed, a phrase each.
      kind: what to call it, where its columns are of no interest to a user.
    """

    label: str
    columns: dict[str, list[Cell]]
    remarks: tuple[str, ...] = ()
    kind: str = ""

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def texts(self, name: str) -> list[str] | None:
        """A column of texts, empty where there is nothing; None if it holds lists."""
        cells = self.columns[name]
        if any(isinstance(cell, tuple) for cell in cells):
            return None
        return [cell if isinstance(cell, str) else "" for cell in cells]


def cells_of(text: Text, *, name: str) -> Cells:
    """The cells of a table; `name` is that of its file. Raises InputError."""
    first = text.text.lstrip()[:1]
    if not first:
        raise InputError(f"{text.label} is empty", hint="give it a row for each image")
    # A header in CSV may begin with a brace only if it is called so, which none is.
    if first == "{" or name.lower().endswith((".jsonl", ".ndjson")):
        return _from_json(text)
    if (cells := _from_counted(text)) is None and (cells := _from_list(text)) is None:
        separator = "\t" if name.lower().endswith(".tsv") else ","
        cells = _from_delimited(text, separator=separator)
    if PARTITION.fullmatch(os.path.basename(name).lower()):
        return _with_splits(cells)
    return cells


def _from_counted(text: Text) -> Cells | None:
    """CelebA's tables: a count of rows, names of columns, then a path and a number for each name.
    None for another table."""
    lines = (line.split() for _, line in text.numbered())
    first, names = next(lines, []), next(lines, [])
    if len(first) != 1 or not first[0].isdigit() or len(set(names)) < len(names) or not names:
        return None
    images: list[Cell] = []
    columns: dict[str, list[Cell]] = {name: [] for name in names}
    for image, *values in lines:
        is_path = os.path.splitext(image)[1].lower() in IMAGE_ENDINGS
        if not is_path or len(values) != len(names) or not all(map(_NUMBER.fullmatch, values)):
            return None
        images.append(image)
        for name, value in zip(names, values, strict=True):
            columns[name].append(value)
    if not images or "image" in columns:
        return None
    remark = "its first lines are a count and the names of columns"
    return Cells(text.label, {"image": images, **columns}, (*text.remarks, remark))


def _with_splits(cells: Cells) -> Cells:
    """CelebA's table of splits, with their names; another one as it is."""
    name = next((name for name in ("partition", "label") if name in cells.columns), None)
    texts = None if name is None else cells.texts(name)
    if name is None or texts is None or not set(texts) <= _PARTITIONS.keys():
        return cells
    columns = {other: column for other, column in cells.columns.items() if other != name}
    columns["split"] = [_PARTITIONS[text] for text in texts]
    remark = "0, 1 and 2 are train, val and test, as of CelebA"
    return Cells(cells.label, columns, (*cells.remarks, remark))


def _from_list(text: Text) -> Cells | None:
    """Lines of a path and a label after it, or several that are numbers; None for another table.
    Raises InputError where columns of 0 and 1 do not say of which classes they are."""
    images: list[Cell] = []
    labels: list[str] = []
    for _, line in text.numbered():
        match = _PATH_AND_LABELS.fullmatch(line.strip())
        if match is None or any(separator in line for separator in ",;\t"):
            return None
        images.append(match[1])
        labels.append(match[2])
    numbers = [tuple(label.split()) for label in labels]
    if any(os.path.splitext(word)[1].lower() in IMAGE_ENDINGS for row in numbers for word in row):
        raise InputError(
            f"{text.label} names several images on a line",
            hint="give each image a line of its own, with its label after it",
        )
    counts = {len(row) for row in numbers}
    if counts == {1} or not all(_NUMBER.fullmatch(word) for row in numbers for word in row):
        remark = "a path and a label after it on each line"
        return Cells(text.label, {"path": images, "label": [*labels]}, (*text.remarks, remark))
    values = {word for row in numbers for word in row}
    if len(counts) == 1 and values <= {"0", "1", "-1"}:
        shown = "0 and 1" if values <= {"0", "1"} else "-1 and 1"
        raise InputError(
            f"{text.label} has {counts.pop()} columns of {shown}, but no names of classes for them",
            hint="write them as CSV, with a first line of the names: image,cat,dog",
        )
    if len(counts) == 1 or not all(word.isdigit() for word in values):
        which = f"{counts.pop()} numbers" if len(counts) == 1 else "numbers that are no classes"
        raise InputError(
            f"{text.label} has {which} after each path: several labels, or a box?",
            hint="write the labels as CSV with a first line: image,labels",
        )
    remark = "a path and one or more labels after it on each line"
    return Cells(text.label, {"path": images, "labels": [*numbers]}, (*text.remarks, remark))


def _from_delimited(text: Text, *, separator: str) -> Cells:
    table = delimited.parse(text, separator=separator, numbers=False)
    header, rows, remarks = table.header, table.rows, [*text.remarks, *table.remarks]
    if any(os.path.splitext(cell)[1].lower() in IMAGE_ENDINGS for cell in header):
        rows = [header, *rows]
        header = [f"column {number}" for number in range(1, len(header) + 1)]
        remarks.append("without a header: its first row names an image")
    # pandas writes the numbers of rows into a column without a name.
    columns: dict[str, list[Cell]] = {
        name: [row[place] for row in rows] for place, name in enumerate(header) if name
    }
    return Cells(text.label, columns, tuple(remarks))


def _from_json(text: Text) -> Cells:
    columns: dict[str, list[Cell]] = {}
    count = 0
    for number, line in text.numbered():
        row = _json_row(line)
        if row is None:
            raise InputError(
                f"line {number} of {text.label} is not what it should be",
                hint='each line is like {"id": "val/1.jpg", "labels": ["cat", "sofa"]}',
            )
        for name, value in row.items():
            cell, is_cell = _cell(value)
            if is_cell:
                if name not in columns and len(columns) == _MOST_COLUMNS:
                    raise InputError(f"{text.label} has more than {_MOST_COLUMNS:,} columns")
                column = columns.setdefault(name, [])
                column += [None] * (count - len(column))
                column.append(cell)
        count += 1
    for column in columns.values():
        column += [None] * (count - len(column))
    return Cells(text.label, columns, text.remarks)


def _json_row(line: str) -> dict[str, Any] | None:
    try:
        row = strict_json.loads(line, allow_surrogates=True)  # names of files may hold them
    except strict_json.StrictJSONError:
        return None
    return row if isinstance(row, dict) else None


def _cell(value: Any) -> tuple[Cell, bool]:
    """A value as a cell, and whether it is one: boxes and other objects are not."""
    if value is None or isinstance(value, str):
        return value, True
    if isinstance(value, int | float):
        return _number(value), True
    if isinstance(value, list):
        return _texts(value)
    return None, False


def _texts(values: Sequence[Any]) -> tuple[Cell, bool]:
    texts = []
    for value in values:
        if not isinstance(value, str | int):
            return None, False
        texts.append(value if isinstance(value, str) else _number(value))
    return tuple(texts), True


def _number(value: float) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return str(int(value)) if value == int(value) else str(value)
