"""Several tables of labels as one: each of a part of the images, with the splits that their names
or a table of splits say.

    --labels '{train,val}.csv'     train.csv, val.csv        splits by the names of the tables
    list_attr_celeba.csv, list_eval_partition.csv            labels, and splits in a table of them
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from vitctl.data.dataset import Split
from vitctl.errors import InputError
from vitctl.ingest.labels.label_cells import ENDINGS, TEXT_TABLES
from vitctl.ingest.labels.label_file import FittedLabels, LabelTable, check_several
from vitctl.ingest.labels.label_paths import split_of_name


@dataclass(frozen=True)
class LabelTables:
    """Tables of labels that a user named together.

    Attributes:
      given: how.
      tables: by the paths of their files.
    """

    given: str
    tables: Mapping[str, LabelTable]

    def fit(self, ids: Sequence[str], *, shown: str, below: str | None = None) -> FittedLabels:
        """The labels and splits of these images. Raises `InputError` where a table says neither,
        and where two contradict each other."""
        parts: dict[str, FittedLabels] = {}
        splits: dict[str, Mapping[str, Split]] = {}
        remarks: list[str] = []
        source = os.path.basename(shown.rstrip("/"))
        for path, table in self.tables.items():
            own = None
            if table.find(ids, below=below, source=source) is None:
                own = table.splits(ids, below=below, source=source)
            if own is None:
                # Whether rows are labels is asked of all tables, not of each.
                one = replace(table, rows_are_labels=False) if table.rows_are_labels else table
                parts[path] = one.fit(ids, shown=shown, below=below)
            else:
                splits[path] = own
                remarks += [f"{path}: {', '.join(table.cells.remarks)}"]
        if not parts:
            raise InputError(
                f"--labels {self.given} says splits of images and no labels",
                hint="name the table of labels, too",
            )
        if any(table.rows_are_labels for table in self.tables.values()):
            check_several(parts.values(), shown=shown)
        one_of_all = with_named_splits(united(parts), parts)
        one_of_all = with_table_splits(one_of_all, splits)
        return replace(one_of_all, notes=(*remarks, *one_of_all.notes))


def are_tables(paths: Sequence[str]) -> bool:
    """Whether files are tables of labels by their endings, and no lists."""
    return all(
        path.lower().endswith((*ENDINGS, ".json"))
        or TEXT_TABLES.fullmatch(os.path.basename(path).lower())
        for path in paths
    )


def united(parts: Mapping[str, FittedLabels], *, root: str | None = None) -> FittedLabels:
    """The labels of several tables as one; those in `root` were not named by a user. Raises
    `InputError` where two say different things of an image."""
    labels: dict[str, tuple[str, ...]] = {}
    splits: dict[str, Split] = {}
    source: dict[str, str] = {}
    skipped: Counter[str] = Counter()
    for table, part in parts.items():
        for id_, names in part.labels.items():
            if id_ in labels and set(labels[id_]) != set(names):
                _refuse(source[id_], table, id_, root=root)
            labels[id_] = names
            source[id_] = table
        splits.update(part.splits)
        skipped.update(part.skipped)
    readings = list(dict.fromkeys(part.reading for part in parts.values()))
    return FittedLabels(
        labels,
        any(part.several for part in parts.values()),
        splits,
        "; ".join(readings),
        skipped=skipped,
        notes=tuple(note for part in parts.values() for note in part.notes),
        cautions=tuple(caution for part in parts.values() for caution in part.cautions),
    )


def with_named_splits(one: FittedLabels, parts: Mapping[str, FittedLabels]) -> FittedLabels:
    """With the splits that names of tables say, where several say different ones: train.csv and
    val.csv of images in one folder."""
    splits: dict[str, Split | None] = {
        path: split_of_name(os.path.basename(path)) for path in parts
    }
    differ = len(parts) > 1 and len(set(splits.values())) == len(parts)
    if one.splits or None in splits.values() or not differ:
        return one
    named = {
        id_: split
        for path, part in parts.items()
        if (split := splits[path]) is not None
        for id_ in part.labels
    }
    return replace(one, splits=named, reading=f"{one.reading}; splits by their names")


def with_table_splits(
    one: FittedLabels, tables: Mapping[str, Mapping[str, Split]], *, root: str | None = None
) -> FittedLabels:
    """With the splits that tables say which say nothing else; images in none of them are left out.
    Raises `InputError` where two say different ones of an image."""
    if not tables or one.splits:
        return one
    splits: dict[str, Split] = {}
    source: dict[str, str] = {}
    for table, own in tables.items():
        for id_, split in own.items():
            if splits.setdefault(id_, split) != split:
                _refuse(source[id_], table, id_, root=root)
            source.setdefault(id_, table)
    labels = {id_: names for id_, names in one.labels.items() if id_ in splits}
    skipped = Counter(one.skipped)
    if missing := len(one.labels) - len(labels):
        skipped[f"images without a split in {', '.join(tables)}"] += missing
    reading = f"{one.reading}; splits by {', '.join(tables)}"
    return replace(one, labels=labels, splits=splits, skipped=skipped, reading=reading)


def _refuse(one: str, other: str, id_: str, *, root: str | None) -> None:
    if root is None:
        raise InputError(
            f"{one} and {other} say different things of {id_}",
            hint="name one of them, or correct one",
        )
    raise InputError(
        f"{one} and {other} in {root} say different things of {id_}",
        hint=f"choose one: --labels {os.path.join(root, other)}",
    )
