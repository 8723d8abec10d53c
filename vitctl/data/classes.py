"""Classes are matched between artifacts by name, never by index."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vitctl.data.class_json import NoClassesError, read_class_json
from vitctl.data.name_lists import names_in
from vitctl.data.names import compose
from vitctl.errors import InputError, UsageError
from vitctl.events import Emit, Note, silent
from vitctl.places import Place
from vitctl.text.quoting import quoted
from vitctl.text.textfiles import Readable, Text, read_text


def sort_classes(names: Sequence[str]) -> list[str]:
    """By code point; all-integer names as numbers (so 2 comes before 10)."""
    if all(re.fullmatch(r"[0-9]{1,18}", name) for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def class_mapping(
    *, dataset: Sequence[str], model: Sequence[str], class_map: Mapping[str, str] | None = None
) -> NDArray[np.int32]:
    """int32[len(dataset)]: the model's index of each of the dataset's classes.

    The model may know more classes than the dataset has. `class_map` renames classes of the
    dataset first. A name in another form of Unicode is the same name (macOS decomposes names of
    files). Raises `InputError` with both counts and three examples when the model lacks one,
    and when the map renames nothing.
    """
    if class_map and not class_map.keys() & set(dataset):
        shown = ", ".join(quoted(name) for name in list(class_map)[:3])
        raise InputError(
            f"--class-map renames none of the dataset's {len(dataset)} classes (it names {shown})",
            hint=f"the dataset's classes begin with {', '.join(dataset[:3])}",
        )
    if not model:
        raise InputError(
            "the model has no classifier: its features can be probed, or a head trained on them",
            hint="vitctl fewshot, or vitctl finetune",
        )
    index = {name: i for i, name in enumerate(model)}
    composed: dict[str, str | None] = {}
    for name in model:  # twins among the model's own are told apart
        composed[compose(name)] = None if compose(name) in composed else name
    renamed = [(class_map or {}).get(name, name) for name in dataset]
    names = [name if name in index else composed.get(compose(name)) or name for name in renamed]
    unknown = [name for name in names if name not in index]
    if unknown:
        shown = ", ".join(quoted(name) for name in unknown[:3])
        raise InputError(
            f"the classes differ: {len(unknown)} of the dataset's {len(dataset)} are not among "
            f"the model's {len(model)} ({shown}{', ...' if len(unknown) > 3 else ''})",
            hint="rename them with --class-map FILE (lines of dataset-name<TAB>model-name), or "
            "shard the images with --classes-from the dataset the model was trained on",
        )
    return np.array([index[name] for name in names], np.int32)


def map_labels(labels: NDArray[np.int32], mapping: NDArray[np.int32]) -> NDArray[np.int32]:
    """Labels under another list of classes, any shape; the padding -1 stays."""
    return np.where(labels >= 0, mapping[labels], np.int32(-1)).astype(np.int32)


def select_classes(wanted: str, *, available: Sequence[str]) -> list[str]:
    """The classes that `--classes` names, in their usual order.

    A comma list of names; `0-5` is a range where all class names are integers. A name that is
    there exactly is never read as a range. Raises `UsageError` naming what isn't there.
    """
    numbers = {int(name): name for name in available if re.fullmatch(r"[0-9]{1,18}", name)}
    known = set(available)
    chosen: set[str] = set()
    for part in (part.strip() for part in wanted.split(",")):
        span = re.fullmatch(r"([0-9]{1,18})-([0-9]{1,18})", part)
        if part in known:
            chosen.add(part)
        elif span and len(numbers) == len(available):
            low, high = int(span[1]), int(span[2])
            matches = {name for number, name in numbers.items() if low <= number <= high}
            if not matches:
                raise UsageError(f"--classes: no class lies in the range {part}")
            chosen |= matches
        else:
            raise UsageError(
                f"--classes: there is no class {quoted(part)}",
                hint=f"the {len(available)} classes begin with {', '.join(available[:5])}",
            )
    return [name for name in available if name in chosen]


def read_class_list(path: Place, *, emit: Emit = silent) -> list[str]:
    """Class names from a dataset artifact, from a text file with one name a line, or from JSON that
    has them by numbers from 0 on."""
    from vitctl.data.dataset import Dataset, check_classes

    if path.is_dir():
        classes = list(Dataset.load(path).info.classes)
        check_classes(len(classes), dataset=path)
        return classes
    if path.suffix.lower() == ".json":
        names = _names_by_number(path, emit=emit)
    else:
        names = read_names(path, option="--classes-from", emit=emit)
    if len(names) == 1 and "," in names[0]:
        names = [name.strip() for name in names[0].split(",") if name.strip()]
        emit(Note(f"--classes-from {path}: its one line is read as names with commas between"))
    counts = Counter(names)
    repeated = next((name for name in names if counts[name] > 1), None)
    if repeated is not None:
        raise InputError(f"{path} names the class {quoted(repeated)} twice")
    if not names:
        raise InputError(f"{path} names no class")
    return names


def _names_by_number(path: Place, *, emit: Emit) -> list[str]:
    text = read_lines(path, option="--classes-from", emit=emit)
    try:
        classes = read_class_json(text.text)
    except NoClassesError as error:
        raise InputError(f"--classes-from {path} {error}") from None
    if classes.order is None:
        raise InputError(
            f"--classes-from {path} numbers no classes from 0 on without gaps",
            hint="a file of words for classes is for --class-titles; else write a class a line",
        )
    emit(Note(f"--classes-from {path} is read as {classes.reading}: 0 is {classes.order[0]}"))
    return classes.order


def read_names(path: Readable, *, option: str, emit: Emit = silent) -> list[str]:
    """The names in a file that an option names, one a line; what was unusual about it is said."""
    label = f"{option} {path}"
    text = read_text(path, label=label)
    names, remarks = names_in(text)
    if remarks := (*text.remarks, *remarks):
        emit(Note(f"{label}: {', '.join(remarks)}"))
    return names


def read_pairs(path: Path, *, option: str, emit: Emit = silent) -> dict[str, str]:
    """name -> text, from JSON (see class_json.py) or lines of name<TAB>text.

    Without a tab the first space separates, so ImageNet's `n01440764 tench, Tinca tinca` is read.
    """
    text = read_lines(path, option=option, emit=emit)
    return pairs_in(text, label=f"{option} {path}", name=path.name)


def pairs_in(text: Text, *, label: str, name: str) -> dict[str, str]:
    """As `read_pairs`, of a text that is there; `name` is that of its file."""
    ending = os.path.splitext(name)[1].lower()
    if ending == ".json":
        try:
            classes = read_class_json(text.text)
        except NoClassesError as error:
            raise InputError(f"{label} {error}") from None
        if not classes.titles:
            raise InputError(
                f"{label} has no names or numbers of classes beside the words for them",
                hint='write an object: {"CLASS": "words", ...}; a list of classes is for '
                "--classes-from",
            )
        return dict(classes.titles)
    pairs = {}
    for number, line in text.numbered():
        if ending == ".csv" and "," in line and "\t" not in line:
            key, separator, value = _first_cell(line)
        else:
            key, separator, value = line.partition("\t" if "\t" in line else " ")
        if not separator or not value.strip():
            raise InputError(f"line {number} of {label} is not name<TAB>text")
        if key in pairs:
            raise InputError(f"line {number} of {label} names {quoted(key)} again")
        pairs[key] = value.strip()
    return pairs


def _first_cell(line: str) -> tuple[str, str, str]:
    """A line of CSV as its first cell, a comma and the rest; texts with commas may lack quotes."""
    try:
        name, *cells = next(csv.reader([line], strict=True))
    except csv.Error:
        return line, "", ""
    return name.strip(), "," if cells else "", ",".join(cells)


def titles_for(classes: Sequence[str], titles: Mapping[str, str]) -> tuple[str, ...]:
    """A title for each class, its name where there is none. Raises `InputError` if none fits."""
    if not any(name in titles for name in classes):
        raise InputError(
            f"--class-titles names none of the {len(classes)} classes",
            hint=f"the classes begin with {', '.join(classes[:3])}",
        )
    return tuple(titles.get(name, name) for name in classes)


def read_lines(path: Readable, *, option: str, emit: Emit = silent) -> Text:
    """The text of a file that an option names; what was unusual about it is said."""
    text = read_text(path, label=f"{option} {path}")
    if text.remarks:
        emit(Note(text.remark()))
    return text
