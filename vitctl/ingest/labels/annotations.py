"""Annotations of objects as labels of their images: COCO's JSON, Pascal VOC's XML, YOLO's text.

    annotations/instances_train2017.json            images, annotations, categories
    Annotations/2007_000027.xml                     object/name; ImageSets/Main/train.txt
    labels/train/1.txt beside images/train/1.jpg    a class's number and a box a line; data.yaml

An image has each class that an object in it has, or none. Each kind becomes cells of a table.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import IO
from xml.parsers import expat

from vitctl.errors import InputError
from vitctl.ingest.folder_layout import split_named
from vitctl.ingest.labels.label_cells import Cell, Cells
from vitctl.ingest.litter import IMAGE_ENDINGS
from vitctl.text import strict_json
from vitctl.text.quantities import counted, plural
from vitctl.text.textfiles import decode

Opening = Callable[[str], AbstractContextManager[IO[bytes]]]
"""Opens a file by its path below the source."""

_MOST_XML = 2**22
_MOST_TEXT = 2**26
_DEEPEST = 32
_MOST_CATEGORIES = 1_000_000


class NoAnnotationsError(Exception):
    """A file is not what its name or place let expect, as a clause that follows "it"."""


def coco_cells(file: IO[bytes], *, label: str) -> Cells:
    """The images of COCO annotations with the names of their objects' categories. Read as a stream:
    COCO's own file has 450 MB. Raises `NoAnnotationsError`."""
    images: dict[int | str, str] = {}
    categories: dict[int | str, str] = {}
    objects: dict[int | str, dict[int | str, None]] = {}
    annotated = False
    try:
        for name, item in strict_json.elements(file, lists=("images", "annotations", "categories")):
            annotated = annotated or name == "annotations"
            if not isinstance(item, dict):
                raise NoAnnotationsError("is no COCO annotation")
            if name == "annotations":
                image, category = _key(item, "image_id"), _key(item, "category_id")
                objects.setdefault(image, {})[category] = None
            elif name == "images":
                path = item.get("file_name")
                if not isinstance(path, str):
                    raise NoAnnotationsError("is no COCO annotation")
                images[_key(item, "id")] = path
            else:
                title = item.get("name")
                if not isinstance(title, str) or len(categories) >= _MOST_CATEGORIES:
                    raise NoAnnotationsError("is no COCO annotation")
                categories[_key(item, "id")] = title
    except strict_json.StrictJSONError as error:
        raise NoAnnotationsError(str(error)) from None
    if not (images and categories and annotated):
        raise NoAnnotationsError("holds no images, annotations and categories, as COCO's do")
    unknown = sum(number not in categories for own in objects.values() for number in own)
    remarks = [f"{counted(unknown, 'annotation')} of no category left out"] if unknown else []
    if strange := len(objects.keys() - images.keys()):
        remarks.append(
            f"left out: annotations of {counted(strange, 'image')} that it does not list"
        )
    labels: list[Cell] = [
        tuple(categories[number] for number in objects.get(image, ()) if number in categories)
        for image in images
    ]
    columns: dict[str, list[Cell]] = {"file_name": [*images.values()], "labels": labels}
    return Cells(label, columns, tuple(remarks), kind="COCO annotations: the classes of objects")


def _key(item: dict[str, object], name: str) -> int | str:
    value = item.get(name)
    if not isinstance(value, int | str):
        raise NoAnnotationsError("is no COCO annotation")
    return value


def voc_cells(paths: Sequence[str], texts: Collection[str], opening: Opening) -> Cells:
    """The images of Pascal VOC's XML files with the names of their objects that are not marked as
    difficult, which are no part of VOC's classification task either; their splits by the lists in
    ImageSets/Main, if they are among `texts`. Raises `NoAnnotationsError`."""
    names: list[Cell] = []
    labels: list[Cell] = []
    difficult = damaged = 0
    for path in paths:
        with opening(path) as file:
            data = file.read(_MOST_XML + 1)
        try:
            objects = list(_objects(data))
        except NoAnnotationsError:
            damaged += 1
            continue
        stem = os.path.splitext(path)[0]
        # Masks may share the stem.
        own = next((text for kind, text, _ in objects if kind == "filename"), "").strip()
        head, ending = os.path.splitext(own)
        same = head == os.path.basename(stem) and ending.lower() in IMAGE_ENDINGS
        names.append(stem + ending if same else stem)
        classes = [text.strip() for kind, text, hard in objects if kind == "name" and not hard]
        difficult += sum(hard for _, _, hard in objects)
        labels.append(tuple(dict.fromkeys(filter(None, classes))))
    if 2 * damaged >= len(paths):
        raise NoAnnotationsError("is no annotation of Pascal VOC")
    remarks = []
    if damaged:
        remarks.append(f"left out, as no annotations: {counted(damaged, 'XML file')}")
    if difficult:
        remarks.append(f"left out, as marked as difficult: {counted(difficult, 'object')}")
    columns = {"filename": names, "labels": labels}
    kind = "Pascal VOC annotations: the classes of objects"
    splits = _voc_splits(texts, opening)
    if splits:
        column: list[Cell] = [
            splits.get(os.path.splitext(os.path.basename(str(name)))[0], "") for name in names
        ]
        listed = [place for place, split in enumerate(column) if split]
        if len(listed) < len(column):
            remarks.append(
                f"left out, as in no list of ImageSets/Main: "
                f"{plural(len(column) - len(listed), 'image', grouped=True)}"
            )
        columns = {name: [cells[place] for place in listed] for name, cells in columns.items()}
        columns["split"] = [column[place] for place in listed]
        kind += ", splits by ImageSets/Main"
    return Cells("Annotations", columns, tuple(remarks), kind=kind)


def _voc_splits(texts: Collection[str], opening: Opening) -> dict[str, str]:
    """Image -> split by the lists of VOC; trainval where train is not there."""
    lists = {
        os.path.splitext(os.path.basename(path))[0]: path
        for path in texts
        if path.lower().endswith(".txt")
        and os.path.dirname(path).lower().endswith("imagesets/main")
    }
    if "train" not in lists and "trainval" in lists:
        lists["train"] = lists["trainval"]
    splits: dict[str, str] = {}
    for name, path in lists.items():
        if split_named(name) is None:
            continue
        for line in _lines(path, opening):
            splits.setdefault(line.split()[0], name)
    return splits


def _objects(data: bytes) -> Iterator[tuple[str, str, bool]]:
    """("filename" or "name", text, whether the object is difficult) of one annotation. Declarations
    of a document type are refused: entities could expand without end."""
    if len(data) > _MOST_XML:
        raise NoAnnotationsError("is larger than 4 MiB")
    stack: list[str] = []
    texts: dict[str, list[str]] = {}
    rows: list[tuple[str, str, bool]] = []

    def refuse(*_: object) -> None:
        raise NoAnnotationsError("declares a document type")

    def begin(tag: str, _: object) -> None:
        if len(stack) >= _DEEPEST or (not stack and tag != "annotation"):
            raise NoAnnotationsError("is no annotation of Pascal VOC")
        stack.append(tag)
        if stack == ["annotation", "object"]:
            texts.clear()

    def text(data: str) -> None:
        if len(stack) in (2, 3):
            texts.setdefault("/".join(stack[1:]), []).append(data)

    def finish(tag: str) -> None:
        if stack == ["annotation", "filename"]:
            rows.append(("filename", "".join(texts.pop("filename", ())), False))
        elif stack == ["annotation", "object"]:
            hard = "".join(texts.get("object/difficult", ())).strip() == "1"
            rows.append(("name", "".join(texts.get("object/name", ())), hard))
        stack.pop()

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = begin
    parser.CharacterDataHandler = text
    parser.EndElementHandler = finish
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise NoAnnotationsError(f"is not XML ({error})") from None
    yield from rows


def yolo_cells(paths: Sequence[str], texts: Collection[str], opening: Opening) -> Cells:
    """The images of YOLO's label files with the names of classes by data.yaml or classes.txt among
    `texts`, else their numbers. Raises `NoAnnotationsError`."""
    classes = _yolo_classes(texts, opening)
    names: list[Cell] = []
    labels: list[Cell] = []
    damaged = 0
    for path in paths:
        try:
            numbers = [_yolo_class(line) for line in _lines(path, opening)]
        except (InputError, NoAnnotationsError):
            damaged += 1
            continue
        names.append(re.sub(r"(^|/)labels/", r"\1images/", os.path.splitext(path)[0]))
        labels.append(tuple(dict.fromkeys(classes.get(number, str(number)) for number in numbers)))
    if 2 * damaged >= len(paths):
        raise NoAnnotationsError("is no label file of YOLO")
    remarks = [f"left out, as no labels of YOLO: {counted(damaged, 'file')}"] if damaged else []
    columns = {"image": names, "labels": labels}
    return Cells("labels", columns, tuple(remarks), kind="YOLO labels: the classes of objects")


def _yolo_class(line: str) -> int:
    number, *box = line.split()
    if not number.isdecimal() or len(number) > 9 or len(box) < 4:
        raise NoAnnotationsError("is no label file of YOLO")
    return int(number)


def _yolo_classes(texts: Collection[str], opening: Opening) -> dict[int, str]:
    """Number -> name: `names:` of a YAML file as a list or as numbered lines, or a name a line."""
    for path in sorted(texts, key=lambda path: (path.count("/"), path)):
        name = os.path.basename(path).lower()
        if name == "classes.txt":
            return dict(enumerate(line.strip() for line in _lines(path, opening)))
        if not name.endswith((".yaml", ".yml")):
            continue
        text = "\n".join(_lines(path, opening))
        if match := re.search(r"^names:\s*\[(.*?)\]", text, re.MULTILINE | re.DOTALL):
            items = re.findall(r"'([^']*)'|\"([^\"]*)\"|([^,\s][^,]*)", match[1])
            return {place: next(filter(None, item), "").strip() for place, item in enumerate(items)}
        if match := re.search(r"^names:[ \t]*\n((?:[ \t]*-?[ \t]*\S.*\n?)+)", text, re.MULTILINE):
            return _yaml_lines(match[1])
    return {}


def _yaml_lines(block: str) -> dict[int, str]:
    names: dict[int, str] = {}
    for line in block.splitlines():
        if item := re.fullmatch(r"[ \t]*-[ \t]*(.+)", line):
            names[len(names)] = item[1].strip().strip("'\"")
        elif item := re.fullmatch(r"[ \t]+(\d{1,9}):[ \t]*(.+)", line):
            names[int(item[1])] = item[2].strip().strip("'\"")
        else:
            break
    return names


def _lines(path: str, opening: Opening) -> list[str]:
    with opening(path) as file:
        text = decode(file.read(_MOST_TEXT), label=path)
    return [line for _, line in text.numbered()]
