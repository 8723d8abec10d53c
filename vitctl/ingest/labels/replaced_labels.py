"""Labels from a file in place of those that a dataset has: `evaluate --labels FILE`.

    real.json          a list of lists of numbers, as ReaL gives them for ImageNet's validation
                       images (Beyer et al., "Are we done with ImageNet?", 2020): entry i belongs to
                       the image with number i + 1 in its name, ILSVRC2012_val_00000001
    {"a.jpg": [...]}   a JSON object, name of an image -> a label or a list of them
    CSV, TSV, JSONL    as `shard --labels` reads them

Images are found by their names, never by their order. A label is the name of a class or, where all
are whole numbers that name none, a place in the dataset's list of classes.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitctl.errors import InputError
from vitctl.ingest.labels.gathered import gathered
from vitctl.ingest.labels.label_cells import Cells, cells_of
from vitctl.ingest.labels.label_file import LabelTable
from vitctl.ingest.labels.label_paths import AMBIGUOUS, MISSING
from vitctl.text import strict_json
from vitctl.text.quantities import counted
from vitctl.text.quoting import quoted
from vitctl.text.textfiles import decode, read_bytes

_OPTION = "--labels"
_VALIDATION_IMAGE = re.compile(r"ILSVRC2012_val_([0-9]{8})")
_SHOWN = 3

Names = tuple[str, ...]


@dataclass(frozen=True)
class LabelsOfImages:
    """What the file says of the images of a split.

    Attributes:
      labels: labels of each image, none of those that the file does not name or gives none.
      notes, cautions: what a user may want to know, and what was wrong, a sentence each.
    """

    labels: list[Names]
    notes: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReplacedLabels:
    """A file of labels: `table` has its rows, or `by_number` its entries from number 1 on."""

    path: Path
    sha256: str
    table: LabelTable | None = None
    by_number: tuple[Names, ...] | None = None

    def of_images(self, ids: Sequence[str | None], *, shown: str) -> LabelsOfImages:
        """The labels of images with these ids; `shown` is what to call the dataset. Raises
        InputError where the file is about other images."""
        names = [image_id or "" for image_id in ids]
        if self.by_number is not None:
            return _numbered(self.by_number, names, label=f"{_OPTION} {self.path}", shown=shown)
        assert self.table is not None
        return _of_rows(self.table, names, shown=shown)


def read_replaced_labels(path: Path) -> ReplacedLabels:
    """Raises NotFoundError, and InputError for what is no file of labels."""
    label = f"{_OPTION} {path}"
    content = read_bytes(path, label=label)
    sha256 = hashlib.sha256(content).hexdigest()
    if path.suffix.lower() == ".json":
        try:
            value = strict_json.loads(content, unique_keys=True)
        except strict_json.StrictJSONError as error:
            raise InputError(f"{label} {error}") from None
        if isinstance(value, list):
            entries = tuple(_names(entry, label=label, at=f"entry {i}") for i, entry in
                            enumerate(value))  # fmt: skip
            return ReplacedLabels(path, sha256, by_number=entries)
        if not isinstance(value, dict):
            raise InputError(
                f"{label} is neither a list of lists of labels, as ReaL's real.json, nor an object "
                "of name of an image -> labels"
            )
        labels = [_names(of, label=label, at=quoted(name)) for name, of in value.items()]
        cells = Cells(label, {"image": [*value], "labels": [*labels]}, kind="names and labels")
    else:
        cells = cells_of(decode(content, label=label), name=path.name)
    return ReplacedLabels(path, sha256, table=LabelTable(cells, path.name))


def _names(value: Any, *, label: str, at: str) -> Names:
    """A label or a list of them, as texts."""
    values = value if isinstance(value, list) else [value]
    for one in values:
        if isinstance(one, bool) or not isinstance(one, str | int):
            raise InputError(
                f"{at} of {label} is not a list of names or numbers of classes: {quoted(one)}"
            )
    return tuple(dict.fromkeys(map(str, values)))


def _numbered(
    entries: Sequence[Names], ids: Sequence[str], *, label: str, shown: str
) -> LabelsOfImages:
    matches = [_VALIDATION_IMAGE.search(image_id) for image_id in ids]
    numbers = [0 if match is None else int(match[1]) for match in matches]
    with_entry = sum(0 < number <= len(entries) for number in numbers)
    if 2 * with_entry <= len(ids):
        first = next(
            (i for i, n in zip(ids, numbers, strict=True) if n == 0), ids[0] if ids else ""
        )
        raise InputError(
            f"{label} is a list of {len(entries):,} entries for the images that are called "
            f"ILSVRC2012_val_00000001 and so on, which only {with_entry:,} of the {len(ids):,} "
            f"images of {shown} are ({quoted(first)} is not, for one)",
            hint="for other images give an object: name of the image -> list of labels",
        )
    note = (
        f"{label}: its entries are matched by the numbers in the names of the images; the first is "
        "of ILSVRC2012_val_00000001"
    )
    cautions = []
    if with_entry < len(ids):
        cautions.append(
            f"{len(ids) - with_entry:,} of the {len(ids):,} images of {shown} have no entry in "
            f"{label} and are left out"
        )
    repeated = len(ids) - numbers.count(0) - len({n for n in numbers if n})
    if repeated:
        cautions.append(f"{repeated:,} images of {shown} have the number of another one")
    labels = [entries[n - 1] if 0 < n <= len(entries) else () for n in numbers]
    return LabelsOfImages(labels, (note,), tuple(cautions))


def _of_rows(table: LabelTable, ids: Sequence[str], *, shown: str) -> LabelsOfImages:
    label = table.cells.label
    rows = table.find(ids)
    if rows is None:
        example = quoted(ids[0] if ids else "")
        raise InputError(
            f"{label} has no column that names images of {shown} ({example}, for one) "
            "beside a column of labels",
            hint="an image is named by its path below the source it was sharded from, or by the "
            f"name of its file; the columns are {', '.join(list(table.cells.columns)[:8])}",
        )
    meant = rows.images.rows
    pairs = zip(meant.tolist(), rows.names, strict=True)
    by_image = gathered(((row, names or ()) for row, names in pairs if row >= 0), unite=rows.unite)
    labels = dict(by_image.names)
    cautions = [*_about_other_images(meant, images=len(ids), named=len(labels), label=label,
                                     shown=shown)]  # fmt: skip
    if by_image.contradicting:
        cautions.append(
            f"left out, as rows in {label} contradict each other: "
            f"{counted(len(by_image.contradicting), 'image')} "
            f"({ids[min(by_image.contradicting)]}, for one)"
        )
        for row in by_image.contradicting:
            labels[row] = ()
    without = len(ids) - len(labels)
    if without:
        cautions.append(
            f"{without:,} of the {len(ids):,} images of {shown} are not in {label} and are left out"
        )
    notes = [f"{label}: {rows.reading}", *rows.notes, *filter(None, [by_image.note(label)])]
    if table.cells.remarks:
        notes.append(f"{label}: {', '.join(table.cells.remarks)}")
    return LabelsOfImages(
        [labels.get(row, ()) for row in range(len(ids))], tuple(notes), tuple(cautions)
    )


def _about_other_images(
    meant: NDArray[np.int64], *, images: int, named: int, label: str, shown: str
) -> list[str]:
    """Sentences for rows that name no image, or several. Raises InputError if most rows do, and
    less than half of the images have one: a file of all images is right for a subset of them."""
    sentences = []
    for count, what in (
        (int((meant == MISSING).sum()), f"name images that are not in {shown}"),
        (int((meant == AMBIGUOUS).sum()), f"name several images of {shown} at once"),
    ):
        if not count:
            continue
        sentence = f"{count:,} of the {len(meant):,} rows in {label} {what}"
        if 2 * count >= len(meant) and 2 * named < images:
            raise InputError(
                sentence,
                hint=f"they would label {named:,} of {images:,} images; an image is named by its "
                "path below the source it was sharded from, or by the name of its file",
            )
        sentences.append(f"{sentence}; they are left out")
    return sentences


def class_numbers(
    labels: Sequence[Names],
    *,
    classes: Sequence[str],
    known: Collection[str],
    label: str,
) -> tuple[tuple[str, ...], NDArray[np.int32], str | None]:
    """(names of classes, int32[n, l] places among them padded with -1, what numbers mean).

    `classes` are the dataset's, `known` further names that are fine. Raises InputError for a label
    that is neither, and for a number beyond the classes.
    """
    counts = Counter(name for names in labels for name in names)
    if not counts:
        raise InputError(f"{label} gives no image a label")
    fine = {*classes, *known}
    unknown = [name for name in counts if name not in fine]
    remark = None
    if unknown and all(re.fullmatch(r"[0-9]{1,9}", name) for name in counts):
        beyond = [name for name in counts if int(name) >= len(classes)]
        if beyond:
            raise InputError(
                f"{label} has the label {max(map(int, beyond))}, and the dataset has "
                f"{len(classes):,} classes, numbered from 0 on",
                hint="labels that are numbers are places in the dataset's list of classes",
            )
        renamed = {name: classes[int(name)] for name in counts}
        first = min(counts, key=int)
        remark = (
            f"labels in {label} are read as numbers of the dataset's {len(classes):,} classes, "
            f"from 0 on: {first} is {renamed[first]}"
        )
    elif unknown:
        raise InputError(
            f"{len(unknown):,} of the {len(counts):,} different labels in {label} are no classes "
            f"of the dataset or the model ({', '.join(map(quoted, unknown[:_SHOWN]))})",
            hint=f"the dataset's {len(classes):,} classes begin with {', '.join(classes[:_SHOWN])}",
        )
    else:
        renamed = {name: name for name in counts}
    used = {*renamed.values()}
    names = (*(n for n in classes if n in used), *sorted(used.difference(classes)))
    place = {name: i for i, name in enumerate(names)}
    width = max(map(len, labels))
    numbers = np.full((len(labels), width), -1, np.int32)
    for row, own in zip(numbers, labels, strict=True):
        row[: len(own)] = [place[renamed[name]] for name in own]
    return names, numbers, remark
