"""Tables of labels that lie among the images: Kaggle's train.csv and labels.csv, Roboflow's
`_classes.csv` in each split, Hugging Face's metadata.csv and metadata.jsonl; and annotations of the
objects in them, as COCO, Pascal VOC and YOLO have.

A table is one if a column of it names images that lie there. What Kaggle wants filled in
(sample_submission.csv) is none.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from vitctl.data.dataset import Split
from vitctl.errors import InputError, UsageError
from vitctl.ingest.choices import Choices
from vitctl.ingest.labels.annotations import (
    NoAnnotationsError,
    Opening,
    coco_cells,
    voc_cells,
    yolo_cells,
)
from vitctl.ingest.labels.image_lists import may_be_list
from vitctl.ingest.labels.label_cells import ENDINGS, PARTITION, TEXT_TABLES, Cells, cells_of
from vitctl.ingest.labels.label_file import FittedLabels, LabelTable, check_several, fitted
from vitctl.ingest.labels.label_tables import united, with_named_splits, with_table_splits
from vitctl.ingest.labels.mat_lists import may_be_mat
from vitctl.text.textfiles import decode

MOST_BYTES = 2**28
"""A table of ten million images."""
_SMALL_BYTES = 2**22  # some 100,000 rows
_MOST_TABLES = 20
# Deeper down, files belong to something else.
_MOST_FOLDERS = 2
_NAME_BYTES = 300
_ANNOTATIONS = re.compile(r"(^|/)instances|coco")
_FORM = re.compile(r"sample[-_ ]?submission|submission[-_ ]?(sample|format)")


@dataclass(frozen=True)
class Sidecars:
    """Files among images that may say their labels.

    Attributes:
      paths: below the source.
      opening: opens one.
    """

    paths: Collection[str] = ()
    opening: Opening = open  # type: ignore[assignment]


@dataclass(frozen=True)
class Inside:
    """Labels by the tables and annotations that lie among images.

    Attributes:
      tables: what was read, by paths below the source.
      fitted: what they say; None if there is none.
      notes: on what is not read, a sentence each.
      endings: of the files that were read -> how many.
    """

    tables: tuple[str, ...]
    fitted: FittedLabels | None
    notes: tuple[str, ...] = ()
    endings: Counter[str] = field(default_factory=Counter)


def may_be_table(path: str) -> bool:
    """Whether a file may say labels of images, by its path below the source."""
    low = path.lower()
    folders = low.count("/")
    if low.endswith((*ENDINGS, ".json")):
        return folders <= _MOST_FOLDERS
    if low.endswith(".xml"):
        return folders <= _MOST_FOLDERS or "annotations/" in low[-_NAME_BYTES:]
    if low.endswith(".txt"):
        if TEXT_TABLES.fullmatch(os.path.basename(low)):
            return folders <= _MOST_FOLDERS
        inner = f"/{low}"
        if "/imagesets/main/" in inner or "/labels/" in inner or inner.endswith("/classes.txt"):
            return True
        return folders <= _MOST_FOLDERS and may_be_list(path)
    if low.endswith(".mat"):
        return folders <= _MOST_FOLDERS and may_be_mat(path)
    return low.endswith((".yaml", ".yml")) and folders <= 1


def tables_inside(
    sidecars: Sidecars,
    ids: Sequence[str],
    *,
    choices: Choices,
    root: str,
    below: str | None = None,
    in_doubt: bool = True,
) -> Inside:
    """The labels that tables and annotations of objects give images. Where folders say them
    already, not `in_doubt`, only small tables are looked at, so that listing costs no more.
    Raises `InputError` where they contradict each other or leave open which column is meant."""
    notes: list[str] = []
    parts: dict[str, FittedLabels] = {}
    splits: dict[str, Mapping[str, Split]] = {}
    endings: Counter[str] = Counter()
    tables: list[tuple[str, list[str], Cells]] = []
    for path, paths, read in _candidates(sidecars, notes, in_doubt=in_doubt):
        try:
            cells = read()
        except (InputError, NoAnnotationsError) as error:
            # Most files of JSON are something else; a damaged one of annotations is said.
            if not path.lower().endswith(".json") or _ANNOTATIONS.search(path.lower()):
                notes.append(f"{path} is not read: {_clause(str(error), path)}")
            continue
        if cells.rows:
            tables.append((path, paths, cells))
    _check_named(choices, [name for *_, cells in tables for name in cells.columns], root=root)
    for path, paths, cells in tables:
        table = _chosen(cells, path, choices)
        rows = table.find(ids, below=below)
        own = table.splits(ids, below=below) if rows is None else None
        if own is not None and PARTITION.fullmatch(table.name.lower()):
            splits[path] = own
            endings.update(os.path.splitext(file)[1].lower() for file in paths)
            notes += [f"{path}: {', '.join(cells.remarks)}"] if cells.remarks else []
            continue
        if own is not None:  # a user says so, since earlier versions did not read such tables
            notes.append(
                f"{path} is not read: it says splits alone; --labels takes it beside the table of "
                "labels: --labels 'SRC/{LABELS,SPLITS}.csv'"
            )
            continue
        if rows is None:
            notes.append(f"{path} is not read: it names no image that is there, or no labels")
            continue
        if 2 * int((rows.images.rows >= 0).sum()) <= cells.rows:
            notes.append(
                f"{path} is not read: most of its {cells.rows:,} rows name no image that is there "
                f"(--labels {os.path.join(root, path)} says why)"
            )
            continue
        parts[path] = fitted(
            rows,
            ids,
            label=path,
            shown=root,
            remarks=cells.remarks,
            rows_are_labels=choices.multi_label,
        )
        endings.update(os.path.splitext(file)[1].lower() for file in paths)
    if not parts:
        notes += [
            f"{path} is not read: it says splits, and no table says labels" for path in splits
        ]
        return Inside((), None, tuple(notes))
    if choices.multi_label:
        check_several(parts.values(), shown=root)
    one = with_named_splits(united(parts, root=root), parts)
    one = with_table_splits(one, splits, root=root)
    return Inside((*parts, *splits), one, tuple(notes), endings)


def _clause(error: str, path: str) -> str:
    """An error of a table after "is not read:"; some are sentences about it, some predicates."""
    if error.startswith(f"{path} "):
        return "it" + error.removeprefix(path)
    return error if error.startswith(("row ", "line ")) else f"it {error}"


def _check_named(choices: Choices, columns: Sequence[str], *, root: str) -> None:
    """Refuse a name of a column that no table has."""
    for option, name in (("image", choices.image_column), ("label", choices.label_column)):
        if name is None or name in columns or (option == "label" and "," in name):
            continue
        raise UsageError(
            f"--{option}-column: no table in {root} has a column {name}",
            hint=f"their columns: {', '.join(dict.fromkeys(columns[:8]))}" if columns else None,
        )


def _candidates(
    sidecars: Sidecars, notes: list[str], *, in_doubt: bool
) -> Iterator[tuple[str, list[str], Callable[[], Cells]]]:
    """(what to call it, its files, what reads its cells) of each table and kind of annotation."""
    most = MOST_BYTES if in_doubt else _SMALL_BYTES
    tables = [path for path in sidecars.paths if _is_table(path)]
    if len(tables) > _MOST_TABLES:
        notes.append(f"{len(tables):,} tables are not read: they are too many")
        tables = []
    for path in sorted(tables):
        if _FORM.search(os.path.basename(path).lower()):
            notes.append(f"{path} is not read: it is a form for predictions")
        else:
            yield path, [path], partial(_table_cells, path, sidecars.opening, most)
    if not in_doubt:
        return
    endings = [(path, os.path.splitext(path)[1].lower()) for path in sidecars.paths]
    documents = sorted(path for path, ending in endings if ending == ".json")
    instances = {
        os.path.dirname(path)
        for path in documents
        if os.path.basename(path).lower().startswith("instances")
    }
    for path in documents[:_MOST_TABLES]:
        other = not os.path.basename(path).lower().startswith("instances")
        if not (other and os.path.dirname(path) in instances):
            yield path, [path], partial(_coco_cells, path, sidecars.opening)
    texts = [path for path, ending in endings if ending in (".txt", ".yaml", ".yml")]
    if pages := sorted(path for path, ending in endings if ending == ".xml"):
        read = partial(voc_cells, pages, texts, sidecars.opening)
        lists = [path for path in texts if "imagesets/main/" in path.lower()]
        yield "Annotations", [*pages, *lists], read
    lines = sorted(
        path for path in texts if "/labels/" in f"/{path}" and path.lower().endswith(".txt")
    )
    if lines:
        titles = [path for path in texts if "/" not in path]
        yield "labels", [*lines, *titles], partial(yolo_cells, lines, texts, sidecars.opening)


def _is_table(path: str) -> bool:
    low = path.lower()
    return low.endswith(ENDINGS) or TEXT_TABLES.fullmatch(os.path.basename(low)) is not None


def _table_cells(path: str, opening: Opening, most_bytes: int) -> Cells:
    with opening(path) as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise InputError(f"is larger than {most_bytes >> 20} MiB")
    return cells_of(decode(data, label=path), name=path)


def _coco_cells(path: str, opening: Opening) -> Cells:
    with opening(path) as file:
        return coco_cells(file, label=path)


def _chosen(cells: Cells, path: str, choices: Choices) -> LabelTable:
    image_column, label_column = choices.image_column, choices.label_column
    several = label_column is not None and "," in label_column
    return LabelTable(
        cells,
        os.path.basename(path),
        folder=os.path.dirname(path),
        image_column=image_column if image_column in cells.columns else None,
        label_column=label_column if several or label_column in cells.columns else None,
        separator=choices.label_separator,
        rows_are_labels=choices.multi_label,
    )
