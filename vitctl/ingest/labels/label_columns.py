"""Which columns of a table are what: the images by contents, the labels by their names or by what
is left, one column of labels or one of 0 and 1 for each class.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vitctl.data.dataset import Split
from vitctl.data.names import text_of
from vitctl.errors import InputError, UsageError
from vitctl.ingest.folder_layout import split_named
from vitctl.ingest.labels.label_cells import Cell, Cells
from vitctl.ingest.labels.label_paths import Match, Paths, is_image_ending
from vitctl.text.quoting import quoted

# Of Kaggle's, Roboflow's and Hugging Face's tables; compared without case and punctuation.
_IMAGES = (
    *("filename", "file", "path", "filepath", "imagepath", "image", "imagename", "imageid", "id"),
    *("img", "imgid", "imagefile", "imagefilename", "imageindex", "idcode", "name", "key"),
)
_LABELS = (
    *("label", "labels", "class", "classes", "classname", "classid", "category", "categoryname"),
    *("target", "targets", "tags", "tag", "breed", "species", "variety", "diagnosis", "dx"),
    *("labelname", "labelid", "findinglabels", "findinglabel", "attributes", "y", "choice"),
)
_CONFIDENCES = ("confidence", "score", "probability", "prob", "present", "presence")
"""Columns that say of a label whether, or how surely, it is one."""
_SEVERAL = re.compile(r"(labels|classes|targets|tags|attributes|categories|findings)$")
_SPLIT_COLUMNS = ("split", "set", "subset", "partition", "fold")
_BOXES = ({"xmin", "ymin", "xmax", "ymax"}, {"bbox"}, {"x", "y", "w", "h"}, {"x1", "y1", "x2"})
_COORDINATE = re.compile(r"[xywh]|width|height|[xy](min|max)|[xy]_?\d|\w+_[xy]", re.IGNORECASE)
_SEPARATORS = ("|", ";", ",", " ")
ZERO_ONE = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}
_MINUS_ONE = {"-1": 0, "1": 1, "-1.0": 0, "1.0": 1}
"""As of CelebA. -1 beside 0 and 1 is something else (uncertain, of CheXpert)."""
_INDEX = "Unnamed: 0"  # what pandas makes of its own numbers of rows
_SHOWN = 6
_SAMPLE = 200


@dataclass(frozen=True)
class LabelRows:
    """What the rows of a table say.

    Attributes:
      images: the image that each row means.
      names: its classes; None where the row says nothing.
      several: whether a row may have none or several of them.
      unite: whether rows of one image are parts of its labels, as boxes in it are.
      splits: of each row, if the table has a column of them.
      reading: which columns are what, as a phrase.
      notes: what a user may want to know, a sentence each.
      confidence: of a table with one column of labels, the name of a column that says whether each
        is one, and its cells.
    """

    images: Match
    names: list[tuple[str, ...] | None]
    several: bool
    unite: bool
    splits: list[Split | None] | None
    reading: str
    notes: tuple[str, ...] = ()
    confidence: tuple[str, Sequence[str]] | None = None


def image_column(
    cells: Cells, paths: Paths, *, wanted: str | None, of_labels: str | None = None
) -> tuple[str, Match] | None:
    """The column whose cells mean most images; None if none means any. That `of_labels` is none,
    nor are numbers in a column that is called as labels are, or beside one of names of files: class
    7 is no file 00007.png. Raises UsageError."""
    if wanted is not None:
        _check_column("image", wanted, cells)
        texts = cells.texts(wanted)
        return None if texts is None else (wanted, paths.match(texts))
    of_files = {name for name in cells.columns if _names_files(cells.columns[name])}

    def others_are_files(name: str) -> bool:
        return bool(of_files - {name})

    best: tuple[int, int, str, Match] | None = None
    usual = sorted(cells.columns, key=lambda name: _rank(name, _IMAGES))
    for place, name in enumerate(usual):
        texts = cells.texts(name)
        if name == of_labels or texts is None or not _may_name_images(texts, paths):
            continue
        match = paths.match(texts)
        if match.by_number and (_plain(name) in _LABELS or others_are_files(name)):
            continue
        score = (match.images, -_rank(name, _IMAGES) - place)
        if best is None or score > best[:2]:
            best = (*score, name, match)
            if match.images == len(texts):  # no other means more
                break
    return None if best is None else best[2:]


def _names_files(column: Sequence[Cell]) -> bool:
    """Whether cells have endings of images; the first one that is not empty tells."""
    first = next((cell for cell in column if cell), "")
    return isinstance(first, str) and is_image_ending(first.rpartition(".")[2])


def _may_name_images(texts: Sequence[str], paths: Paths) -> bool:
    """Whether any of some cells means an image, so that not every column is looked up whole."""
    step = max(1, len(texts) // _SAMPLE)
    return bool((paths.match(texts[::step]).rows != -1).any())


def label_rows(
    cells: Cells,
    image: str,
    match: Match,
    *,
    wanted: str | None,
    separator: str | None,
) -> LabelRows | None:
    """What the table says of its images; None if it has no column of labels. Raises InputError
    where several could be, UsageError."""
    splits, split_name = split_column(cells, image)
    others = [name for name in cells.columns if name not in (image, split_name, _INDEX)]
    notes: list[str] = []
    if wanted is not None and wanted not in cells.columns and "," in wanted:
        chosen = [name.strip() for name in wanted.split(",")]
        for name in chosen:
            _check_column("label", name, cells)
        if not _are_binary(cells, chosen):
            raise UsageError(f"--label-column: {', '.join(chosen)} are not columns of 0 and 1")
        columns = chosen
    elif wanted is not None:
        _check_column("label", wanted, cells)
        columns = [wanted]
    elif len(others) > 1 and _are_binary(cells, others):
        columns = others
    else:
        column = _label_column(cells, others)
        if column is None:
            return None
        columns = [column]
    named = {_plain(name) for name in cells.columns}
    unite = any(boxes <= named for boxes in _BOXES)
    if len(columns) > 1:
        names: list[tuple[str, ...] | None] = _one_hot(cells, columns)
        several = True
        zero = "0" if _are_marks(cells, columns, ZERO_ONE) else "-1"
        phrase = f"labels in {len(columns)} columns of {zero} and 1 ({_listed(columns)})"
    else:
        name = columns[0]
        names, several, how = _labels(cells, name, separator=separator, notes=notes)
        phrase = f"labels in {name}{how}"
        if unite:
            phrase += ", a row for each object"
    manner = f" ({match.manner})" if match.manner else ""
    reading = cells.kind or f"images in {image}{manner}, {phrase}"
    if split_name is not None and not cells.kind:
        reading += f", splits in {split_name}"
    confidence = _confidence(cells, others) if len(columns) == 1 else None
    return LabelRows(
        match, names, several or unite, unite, splits, reading, tuple(notes), confidence
    )


def _confidence(cells: Cells, others: Sequence[str]) -> tuple[str, Sequence[str]] | None:
    for name in others:
        if _plain(name) in _CONFIDENCES and (texts := cells.texts(name)) is not None:
            return name, texts
    return None


def _label_column(cells: Cells, others: Sequence[str]) -> str | None:
    # One letter is a name only where it is all of it: not `y]` of an unquoted "[x,y]".
    usual = [
        name
        for name in others
        if (plain := _plain(name)) in _LABELS and (len(plain) > 1 or plain == name.casefold())
    ]
    if {"x", "w", "h"} & {_plain(name) for name in others}:  # of a box or a point
        usual = [name for name in usual if _plain(name) != "y"]
    if len(usual) == 1:
        return usual[0]
    if not usual and len(others) == 1:
        texts = cells.texts(others[0])
        if texts is not None and len(set(texts)) > max(2, len(texts) // 2):
            raise InputError(
                f"the column {others[0]} of {cells.label} has {len(set(texts)):,} different values "
                f"in {len(texts):,} rows, which seem to be no classes",
                hint=f"if they are: --label-column {others[0]}",
            )
        return others[0]
    if not others or (len(others) > 1 and not usual and all(map(_COORDINATE.fullmatch, others))):
        return None  # boxes or points
    shown = usual or others
    raise InputError(
        f"{cells.label} has {len(shown)} columns that could be labels: {_listed(shown)}",
        hint=f"choose one: --label-column {shown[0]}; columns of 0 and 1, one for each class: "
        "--label-column A,B,C",
    )


def _labels(
    cells: Cells, name: str, *, separator: str | None, notes: list[str]
) -> tuple[list[tuple[str, ...] | None], bool, str]:
    """(classes of each row, whether there may be several, how they are written)."""
    column = cells.columns[name]
    if any(isinstance(cell, tuple) for cell in column):
        return [_listed_names(cell) for cell in column], True, ""
    texts = [cell.strip() if isinstance(cell, str) else "" for cell in column]
    if texts and all(text.endswith(".0") and text[:-2].isdigit() for text in texts if text):
        texts = [text.removesuffix(".0") for text in texts]
    chosen = separator
    distinct = set(texts)
    if chosen is None:
        chosen = _separator_in(distinct, column=name)
        likely = _likely_separator(distinct)
        if chosen is None and likely is not None:
            notes.append(
                f"cells of {name} in {cells.label} hold {quoted(likely)}, which is read as a part "
                f"of the names of classes; --label-separator {quoted(likely)} splits them"
            )
    cleaned: dict[str, tuple[str, ...] | None] = {}
    for text in distinct:
        if chosen is None:
            cleaned[text] = (_class_name(text),) if text else None
        else:
            # Brackets and quotes are what Python and pandas write around lists.
            parts = [part.strip().strip("[]'\"").strip() for part in text.split(chosen)]
            cleaned[text] = tuple(dict.fromkeys(_class_name(part) for part in parts if part))
    how = "" if chosen is None else f", several separated by {_named(chosen)}"
    return [cleaned[text] for text in texts], chosen is not None, how


def _separator_in(distinct: set[str], *, column: str) -> str | None:
    """What separates labels in a column whose name is a plural."""
    if not _SEVERAL.search(_plain(column)):
        return None
    return _likely_separator(distinct)


def _likely_separator(distinct: set[str]) -> str | None:
    """The first of the usual separators that cells hold; a space only where fewer different tokens
    than cells are left by it, as tokens of a name are not."""
    for separator in _SEPARATORS:
        if any(separator in text for text in distinct):
            tokens = {part.strip() for text in distinct for part in text.split(separator)}
            if separator in ("|", ";") or len(tokens) < len(distinct):
                return separator
    return None


def _one_hot(cells: Cells, columns: Sequence[str]) -> list[tuple[str, ...] | None]:
    values_of = ZERO_ONE if _are_marks(cells, columns, ZERO_ONE) else _MINUS_ONE
    names = [_class_name(name) for name in columns]
    rows: list[list[str]] = [[] for _ in range(cells.rows)]
    for name, column in zip(names, columns, strict=True):
        values = cells.texts(column) or []
        marks = np.fromiter((values_of.get(text.lower(), 0) for text in values), bool, len(values))
        for row in np.flatnonzero(marks).tolist():
            rows[row].append(name)
    return [tuple(row) for row in rows]


def _are_binary(cells: Cells, names: Sequence[str]) -> bool:
    """Whether columns hold 0 and 1, or -1 and 1 throughout."""
    return _are_marks(cells, names, ZERO_ONE) or _are_marks(cells, names, _MINUS_ONE)


def _are_marks(cells: Cells, names: Sequence[str], marks: Mapping[str, int]) -> bool:
    return all(
        isinstance(cell, str) and cell.lower() in marks
        for name in names
        for cell in cells.columns[name]
    )


def split_column(cells: Cells, image: str) -> tuple[list[Split | None] | None, str | None]:
    """A column whose every cell is the name of a split: the splits of rows, and its name."""
    for name, column in cells.columns.items():
        if name == image or _plain(name) not in _SPLIT_COLUMNS:
            continue
        values = {cell for cell in column if cell != ""}
        named = {
            cell: split_named(cell.strip()) if isinstance(cell, str) else None for cell in values
        }
        if named and all(named.values()):
            return [named.get(cell) for cell in column], name
    return None, None


def _listed_names(cell: Cell) -> tuple[str, ...] | None:
    if cell is None:
        return None
    names = (cell,) if isinstance(cell, str) else cell
    return tuple(dict.fromkeys(_class_name(name) for name in names))


def _class_name(name: str) -> str:
    """As folder names are: one clean line each."""
    return text_of(name.encode("utf-8", "surrogatepass"))


def _check_column(what: str, wanted: str, cells: Cells) -> None:
    if wanted not in cells.columns:
        raise UsageError(
            f"--{what}-column: {cells.label} has no column {wanted}",
            hint=f"its columns: {_listed(list(cells.columns))}",
        )


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()


def _rank(name: str, usual: Sequence[str]) -> int:
    plain = _plain(name)
    return usual.index(plain) if plain in usual else 10_000


def _named(separator: str) -> str:
    return "spaces" if separator == " " else quoted(separator)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
