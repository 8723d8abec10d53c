"""Tables of labels that lie among the images: Kaggle's train.csv and labels.csv, Roboflow's
`_classes.csv` in each split, Hugging Face's metadata.csv and metadata.jsonl.

A table is one if a column of it names images that lie there. What Kaggle wants filled in
(sample_submission.csv) is none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from vitctl.data.dataset import Split
from vitctl.errors import InputError
from vitctl.ingest.choices import Choices
from vitctl.ingest.label_cells import ENDINGS, cells_of
from vitctl.ingest.label_file import Fitted, LabelTable, fitted, united
from vitctl.ingest.label_paths import split_of_name
from vitctl.textfiles import decode

MOST_BYTES = 2**28
"""A table of ten million images."""
_MOST_TABLES = 20
# Deeper down, files belong to something else.
_MOST_FOLDERS = 2
_FORM = re.compile(r"sample[-_ ]?submission|submission[-_ ]?(sample|format)")

Reading = Callable[[], bytes]
"""The contents of a table. Raises InputError above `MOST_BYTES`."""


@dataclass(frozen=True)
class Inside:
    """Labels by the tables that lie among images.

    Attributes:
      tables: their paths below the source.
      fitted: what they say; None if there is none.
      notes: on tables that are not read, a sentence each.
    """

    tables: tuple[str, ...]
    fitted: Fitted | None
    notes: tuple[str, ...] = ()


def may_be_table(path: str) -> bool:
    """Whether a file may be a table of labels, by its path below the source."""
    return path.lower().endswith(ENDINGS) and path.count("/") <= _MOST_FOLDERS


def tables_inside(
    tables: Mapping[str, Reading],
    ids: Sequence[str],
    *,
    choices: Choices,
    root: str,
    below: str | None = None,
) -> Inside:
    """The labels that tables give images. Raises `InputError` where tables contradict each other or
    leave open which column is meant."""
    if len(tables) > _MOST_TABLES:
        return Inside((), None, (f"{len(tables):,} tables are not read: they are too many",))
    notes: list[str] = []
    parts: dict[str, Fitted] = {}
    for path, read in sorted(tables.items()):
        if _FORM.search(os.path.basename(path).lower()):
            notes.append(f"{path} is not read: it is a form for predictions")
            continue
        table = _table(path, read, choices)
        if table is None:
            continue
        if isinstance(table, str):
            notes.append(f"{path} is not read: {table}")
            continue
        rows = table.find(ids, below=below)
        if rows is None:
            notes.append(f"{path} is not read: it names no image that is there, or no labels")
            continue
        if 2 * int((rows.images.rows >= 0).sum()) <= table.cells.rows:
            notes.append(
                f"{path} is not read: most of its {table.cells.rows:,} rows name no image that is "
                f"there (--labels {os.path.join(root, path)} says why)"
            )
            continue
        parts[path] = fitted(rows, ids, label=path, shown=root, remarks=table.cells.remarks)
    if not parts:
        return Inside((), None, tuple(notes))
    one = _with_splits(united(parts, root=root), parts)
    return Inside(tuple(parts), one, tuple(notes))


def _table(path: str, read: Reading, choices: Choices) -> LabelTable | str | None:
    """A table, or a clause on why it can't be one; None for what holds nothing."""
    try:
        cells = cells_of(decode(read(), label=path), name=path)
    except InputError as error:
        return str(error)
    if not cells.rows:
        return None
    image_column, label_column = choices.image_column, choices.label_column
    return LabelTable(
        cells,
        os.path.basename(path),
        folder=os.path.dirname(path),
        image_column=image_column if image_column in cells.columns else None,
        label_column=label_column
        if label_column is not None and (label_column in cells.columns or "," in label_column)
        else None,
        separator=choices.label_separator,
    )


def _with_splits(one: Fitted, parts: Mapping[str, Fitted]) -> Fitted:
    """With the splits that names of tables say, where several say different ones: train.csv and
    val.csv of images in one folder."""
    splits: dict[str, Split | None] = {
        path: split_of_name(os.path.basename(path)) for path in parts
    }
    if one.splits or None in splits.values() or len(set(splits.values())) < len(parts):
        return one
    if len(parts) == 1:
        return one
    named = {
        id_: split
        for path, part in parts.items()
        if (split := splits[path]) is not None
        for id_ in part.labels
    }
    return replace(one, splits=named, reading=f"{one.reading}; splits by their names")
