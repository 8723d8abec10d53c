"""Labels from tables, for images that lie in no class folders or have several labels or none.

table = read_labels(path)                  --labels FILE: CSV, TSV or JSON lines
fitted = table.fit(ids, shown="photos")    which image has which classes
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from vitctl.data.dataset import Split
from vitctl.errors import InputError, UsageError
from vitctl.ingest.labels.annotations import NoAnnotationsError, coco_cells, voc_cells
from vitctl.ingest.labels.gathered import gathered
from vitctl.ingest.labels.label_cells import Cells, cells_of
from vitctl.ingest.labels.label_columns import (
    ZERO_ONE,
    LabelRows,
    image_column,
    label_rows,
    split_column,
)
from vitctl.ingest.labels.label_paths import AMBIGUOUS, MISSING, Paths
from vitctl.text.quantities import counted
from vitctl.text.quoting import quoted
from vitctl.text.textfiles import read_text

_SHOWN = 3


@dataclass(frozen=True)
class FittedLabels:
    """Labels of images of a source.

    Attributes:
      labels: id -> class names.
      several: whether an image may have none or several.
      splits: id -> split, where a table says so.
      reading: which columns were read, as a phrase.
      skipped: why rows were left alone -> how many.
      notes: what a user may want to know, a sentence each.
      cautions: what was wrong, a sentence each.
    """

    labels: dict[str, tuple[str, ...]]
    several: bool
    splits: dict[str, Split]
    reading: str
    skipped: Counter[str] = field(default_factory=Counter)
    notes: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelTable:
    """A table of labels and how a user wants it read.

    Attributes:
      cells: what it holds.
      name: of its file, which may say a split.
      folder: where it lies below the source; its paths may begin there.
      image_column, label_column: names of columns, where several could be meant.
      separator: what separates several labels in a cell.
      rows_are_labels: whether different rows of an image are labels of it.
    """

    cells: Cells
    name: str
    folder: str = ""
    image_column: str | None = None
    label_column: str | None = None
    separator: str | None = None
    rows_are_labels: bool = False

    def find(
        self, ids: Sequence[str], *, below: str | None = None, source: str = ""
    ) -> LabelRows | None:
        """What its rows say of these images; None if it names none of them, or no labels. `source`
        is the name of the folder that they lie in."""
        if not self.cells.columns or not self.cells.rows:
            return None
        paths = Paths(ids, folder=self.folder, below=below, source=source, table=self.name)
        chosen = image_column(
            self.cells, paths, wanted=self.image_column, of_labels=self.label_column
        )
        if chosen is None:
            return None
        image, match = chosen
        return label_rows(
            self.cells, image, match, wanted=self.label_column, separator=self.separator
        )

    def splits(
        self, ids: Sequence[str], *, below: str | None = None, source: str = ""
    ) -> dict[str, Split] | None:
        """The splits of these images, of a table that says nothing else of them; None for another,
        and where most rows name none."""
        if not self.cells.rows or self.label_column is not None:
            return None
        paths = Paths(ids, folder=self.folder, below=below, source=source, table=self.name)
        chosen = image_column(self.cells, paths, wanted=self.image_column)
        if chosen is None:
            return None
        splits, _ = split_column(self.cells, chosen[0])
        rows = chosen[1].rows
        if splits is None or len(self.cells.columns) > 2 or 2 * int((rows >= 0).sum()) <= len(rows):
            return None
        pairs = zip(rows.tolist(), splits, strict=True)
        return {ids[row]: split for row, split in pairs if row >= 0 and split is not None}

    def fit(self, ids: Sequence[str], *, shown: str, below: str | None = None) -> FittedLabels:
        """The labels of these images. Raises `InputError` if most rows name none of them, or the
        columns are not clear."""
        if not self.cells.rows:
            raise InputError(f"{self.cells.label} names no image", hint="give it a row for each")
        source = os.path.basename(shown.rstrip("/"))
        rows = self.find(ids, below=below, source=source)
        if rows is None:
            self._refuse(ids, shown=shown, below=below)
        label, remarks = self.cells.label, self.cells.remarks
        one = fitted(
            rows,
            ids,
            label=label,
            shown=shown,
            remarks=remarks,
            rows_are_labels=self.rows_are_labels,
        )
        if self.rows_are_labels:
            check_several([one], shown=label)
        return one

    def _refuse(self, ids: Sequence[str], *, shown: str, below: str | None) -> NoReturn:
        names = list(self.cells.columns)
        paths = Paths(ids, folder=self.folder, below=below, table=self.name)
        chosen = image_column(
            self.cells, paths, wanted=self.image_column, of_labels=self.label_column
        )
        if chosen is not None and chosen[1].images:
            raise InputError(
                f"{self.cells.label} has no column of labels beside {chosen[0]}",
                hint=f"its columns: {', '.join(names[:8])}",
            )
        first = next((t[0] for name in names if (t := self.cells.texts(name))), "")
        raise InputError(
            f"none of the {self.cells.rows:,} images in {self.cells.label} are in {shown} "
            f"({quoted(first)}, for one)",
            hint="an image is named by its path below the source, or by the name of its file, in "
            f"a column (its columns: {', '.join(names[:8])}); --image-column NAME chooses one",
        )


def read_labels(
    path: Path,
    *,
    folder: str = "",
    image_column: str | None = None,
    label_column: str | None = None,
    separator: str | None = None,
    rows_are_labels: bool = False,
) -> LabelTable:
    """The table that `--labels` names; the rest is as `LabelTable` has it. Raises InputError."""
    cells = _cells(path, label=f"--labels {path}")
    return LabelTable(
        cells,
        path.name,
        folder,
        image_column=image_column,
        label_column=label_column,
        separator=separator,
        rows_are_labels=rows_are_labels,
    )


def _cells(path: Path, *, label: str) -> Cells:
    """A table, COCO's JSON, or a folder of Pascal VOC's XML."""
    try:
        if path.is_dir():
            pages = sorted(item.name for item in path.iterdir() if item.suffix.lower() == ".xml")
            if not pages:
                raise InputError(
                    f"{label} is a folder without XML files",
                    hint="give a table, COCO's JSON, or a folder of annotations of Pascal VOC",
                )
            return voc_cells(pages, (), lambda name: (path / name).open("rb"))
        if path.suffix.lower() == ".json" and path.is_file():
            with path.open("rb") as file:
                return coco_cells(file, label=label)
    except NoAnnotationsError as error:
        raise InputError(
            f"{label} {error}", hint="give a table (CSV, TSV or JSON lines), or COCO's JSON"
        ) from None
    except OSError as error:
        raise InputError(f"{label} can't be read ({error.strerror})") from None
    return cells_of(read_text(path, label=label), name=path.name)


def fitted(
    rows: LabelRows,
    ids: Sequence[str],
    *,
    label: str,
    shown: str,
    remarks: Sequence[str] = (),
    rows_are_labels: bool = False,
) -> FittedLabels:
    """The labels of images by the rows of a table. Rows of images that are not there, without
    labels, or that contradict each other are left alone and counted; `rows_are_labels` says that
    different rows of an image are labels of it."""
    splits: dict[str, Split] = {}
    skipped: Counter[str] = Counter()
    cautions: list[str] = []
    labelled: list[tuple[str, tuple[str, ...]]] = []
    places: list[int] = []
    for place, row in enumerate(rows.images.rows.tolist()):
        if row < 0:
            continue
        names = rows.names[place]
        if names is None:
            skipped[f"rows without a label in {label}"] += 1
            continue
        id_ = ids[row]
        if rows.splits is not None and (split := rows.splits[place]) is not None:
            splits[id_] = split
        labelled.append((id_, names))
        places.append(place)
    by_image = gathered(labelled, unite=rows.unite, are_labels=rows_are_labels)
    if by_image.complete and rows.confidence is not None:
        name, cells = rows.confidence
        certain = _certain(name, cells, label=label)
        certain_rows = [
            pair for pair, place in zip(labelled, places, strict=True) if certain[place]
        ]
        skipped[f"rows of {label} whose {name} is 0"] += len(labelled) - len(certain_rows)
        by_image = gathered(certain_rows, are_labels=True)
        for id_, _ in labelled:  # of an image all of whose rows say what it is not
            by_image.names.setdefault(id_, ())
    _check_missing(rows, label=label, shown=shown, cautions=cautions)
    labels = {id_: n for id_, n in by_image.names.items() if id_ not in by_image.contradicting}
    if by_image.contradicting:
        cautions.append(
            f"left out, as rows in {label} contradict each other: "
            f"{counted(len(by_image.contradicting), 'image')} "
            f"({min(by_image.contradicting)}, for one); if they are several labels of an image: "
            "--multi-label"
        )
    if by_image.repeated:
        skipped[f"rows in {label} that repeat another"] += by_image.repeated
    notes = [*rows.notes, *filter(None, [by_image.note(label)])]
    return FittedLabels(
        labels,
        rows.several or bool(by_image.complete),
        splits,
        rows.reading + (", a row for each label" if by_image.complete else ""),
        skipped=skipped,
        notes=(*notes, *([f"{label}: {', '.join(remarks)}"] if remarks else [])),
        cautions=tuple(cautions),
    )


def _certain(name: str, cells: Sequence[str], *, label: str) -> list[bool]:
    """Of each row of a label, whether it is one. Raises InputError where that is a matter of
    degree."""
    try:
        return [bool(ZERO_ONE[cell.strip().lower()]) for cell in cells]
    except KeyError as error:
        raise InputError(
            f"{label} has a row for each label and a column {name} of how sure each is "
            f"({quoted(str(error.args[0]))}, for one)",
            hint="write a table of the rows that count, and give it with --labels FILE",
        ) from None


def check_several(parts: Iterable[FittedLabels], *, shown: str) -> None:
    """Raise UsageError where no table gives an image several labels, as a user said they do."""
    if not any(part.several for part in parts):
        raise UsageError(
            f"--multi-label: no image has several rows with different labels in {shown}",
            hint="leave it out; several labels in a cell: --label-separator TEXT",
        )


def _check_missing(rows: LabelRows, *, label: str, shown: str, cautions: list[str]) -> None:
    meant = rows.images.rows
    missing, ambiguous = int((meant == MISSING).sum()), int((meant == AMBIGUOUS).sum())
    for count, what, hint in (
        (missing, f"name images that are not in {shown}", "an id is the path of the image below "
         "the source, or the name of its file"),
        (ambiguous, f"name several images of {shown} at once", "leave all but one folder of them "
         "out: --exclude FOLDER"),
    ):  # fmt: skip
        if not count:
            continue
        sentence = f"{count:,} of the {len(meant):,} rows in {label} {what}"
        if 2 * count >= len(meant):
            raise InputError(sentence, hint=hint)
        cautions.append(f"{sentence}; they are left out")
