"""`--class-map`: what classes of a dataset are called in the model, one name each or several.

lines                  dataset-class<TAB>model-class, more model classes after further tabs
a JSON object          dataset-class -> a name, a list of them, or [] for a class that the model
                       has nothing for
ObjectNet's mappings/  the folder of its archive that says which ImageNet classes its own are
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from vitctl.data.classes import read_lines
from vitctl.errors import InputError
from vitctl.events import Emit, Note, silent
from vitctl.text import strict_json
from vitctl.text.quoting import quoted
from vitctl.text.textfiles import read_text

ClassMap = Mapping[str, str | tuple[str, ...]]

_OPTION = "--class-map"
_OBJECTNET = "objectnet_to_imagenet_1k.json"
_FOLDERS = "folder_to_objectnet_label.json"
_NUMBERS = "pytorch_to_imagenet_2012_id.json"
_LABELS = "imagenet_to_label_2012_v2"


def read_class_map(path: Path, *, emit: Emit = silent) -> dict[str, str | tuple[str, ...]]:
    """Raises NotFoundError, and InputError for what is no class map."""
    if path.is_dir():
        return _of_objectnet(path, emit=emit)
    text = read_lines(path, option=_OPTION, emit=emit)
    label = f"{_OPTION} {path}"
    if path.suffix.lower() == ".json":
        pairs = _object(text.text, label=label)
        return {name: _names(value, label=label, of=name) for name, value in pairs.items()}
    classes: dict[str, str | tuple[str, ...]] = {}
    for number, line in text.numbered():
        name, *values = line.split("\t") if "\t" in line else line.split(" ", 1)
        values = [value.strip() for value in values if value.strip()]
        if not values:
            raise InputError(
                f"line {number} of {label} is not a class of the dataset, a tab, and a class of "
                "the model",
                hint="separate the two with a tab, not with a comma or semicolon"
                if "," in line or ";" in line
                else "for a class that the model has nothing for, write the map as JSON: "
                '{"name": []}',
            )
        if name in classes:
            raise InputError(
                f"line {number} of {label} names {quoted(name)} again",
                hint="several classes of the model are one line, with a tab between them",
            )
        classes[name] = values[0] if len(values) == 1 else tuple(dict.fromkeys(values))
    return classes


@cache
def ilsvrc2012_classes() -> tuple[str, ...]:
    """The WordNet ids of ImageNet-1k's classes, in the order in which nearly all models number
    them."""
    return tuple(ilsvrc2012_titles())


@cache
def ilsvrc2012_titles() -> Mapping[str, str]:
    """WordNet id -> its lemmas, of these classes in their order. From WordNet 3.0; its license is
    beside the list."""
    text = resources.files("vitctl.data").joinpath("ilsvrc2012_titles.txt").read_text("ascii")
    pairs = (line.split("\t", 1) for line in text.splitlines())
    return dict(pairs)


def _object(text: str, *, label: str) -> dict[str, Any]:
    try:
        value = strict_json.loads(text, unique_keys=True)
    except strict_json.StrictJSONError as error:
        raise InputError(f"{label} {error}") from None
    if not isinstance(value, dict):
        raise InputError(f"{label} is no JSON object of names")
    return value


def _names(value: Any, *, label: str, of: str) -> str | tuple[str, ...]:
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise InputError(
            f"{quoted(of)} in {label} is neither a name of a class nor a list of names"
        )
    names = tuple(dict.fromkeys(value))
    return names[0] if len(names) == 1 else names


def _of_objectnet(folder: Path, *, emit: Emit) -> dict[str, str | tuple[str, ...]]:
    """ObjectNet says which of ImageNet's readable names its own stand for, separated by semicolons.
    Such a name is a line of one file, whose number another translates to that of PyTorch's models,
    the place of a WordNet id among the sorted ones."""
    if not (folder / _OBJECTNET).is_file():
        raise InputError(
            f"{_OPTION} {folder} is a folder without {_OBJECTNET}",
            hint="give a file of lines dataset-class<TAB>model-class, a JSON object, or the folder "
            "mappings of ObjectNet",
        )

    def table(name: str) -> dict[str, Any]:
        path = folder / name
        return _object(read_text(path, label=str(path)).text, label=str(path))

    counterparts, folders = table(_OBJECTNET), table(_FOLDERS)
    numbers = {number: place for place, number in table(_NUMBERS).items()}
    path = folder / _LABELS
    lines = read_text(path, label=str(path)).lines()
    places = {line.strip(): numbers.get(i) for i, line in enumerate(lines)}

    def wordnet_id(name: str) -> str:
        place = places.get(name.strip())
        if place is None or not str(place).isdecimal() or int(place) >= len(ilsvrc2012_classes()):
            raise InputError(
                f"{folder / _OBJECTNET} names {quoted(name)}, which {path} does not have"
            )
        return ilsvrc2012_classes()[int(place)]

    classes: dict[str, str | tuple[str, ...]] = {}
    for own, label in folders.items():
        names = counterparts.get(label, "")
        if not isinstance(names, str):
            raise InputError(f"{quoted(label)} in {folder / _OBJECTNET} is no text")
        ids = tuple(wordnet_id(name) for name in names.split(";") if name.strip())
        classes[own] = ids[0] if len(ids) == 1 else ids
    shared = {name: ids for name, ids in classes.items() if ids}
    if not shared:
        raise InputError(f"{folder} gives no class of ObjectNet a counterpart in ImageNet")
    first = min(shared)
    emit(
        Note(
            f"{_OPTION} {folder}: {len(shared):,} of ObjectNet's {len(classes):,} classes are "
            f"classes of ImageNet; {first} is {_listed(shared[first])}"
        )
    )
    return classes


def _listed(names: str | tuple[str, ...]) -> str:
    return names if isinstance(names, str) else " or ".join(names)
