"""What the classes of lists of images are called: as a file of classes says, as folders are called,
or as the names of files begin; else by their numbers."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from vitctl.ingest.folder_layout import split_named
from vitctl.ingest.labels.image_lists import ClassFiles, distinct

Items = TypeVar("Items", str, list[str])


def called(
    labels: Mapping[int, str],
    ids: Sequence[str],
    *,
    by_folder: Mapping[int, str],
    titles: Mapping[int, str] | None,
    beside: Collection[str],
    class_files: ClassFiles,
) -> tuple[dict[int, str], str]:
    """(names of the classes of images, where they are from): numbers are called as a list of
    classes says, else as the folders or the names of files that they go with, one for one.

    Args:
      labels: image -> its label.
      ids: of all images.
      by_folder: image -> its class by its folders.
      titles: names by numbers, where the list itself has them.
      beside: folders of the lists, in which a file of classes belongs to them.
    """
    if not all(re.fullmatch(r"\d{1,9}", label) for label in labels.values()):
        return dict(labels), "labels after the names"
    numbers = {int(label) for label in labels.values()}
    if (named := _one_to_one(labels, by_folder)) is not None:
        return named, "numbers after the names, which go with folders"
    if titles is not None and numbers <= titles.keys():
        return {row: titles[int(n)] for row, n in labels.items()}, "names of classes in class_names"
    for path, names in class_files.items():
        if os.path.dirname(path) in beside and (own := _by_number(names, numbers)) is not None:
            return {row: own[int(n)] for row, n in labels.items()}, f"names of classes in {path}"
    for how, name_of in (
        ("folders", lambda path: os.path.basename(os.path.dirname(path))),
        ("names of files", lambda path: os.path.basename(path).rpartition("_")[0]),
    ):
        named = _one_to_one(labels, {row: name_of(ids[row]) for row in labels})
        if named is not None:
            return named, f"numbers after the names, which go with {how}"
    return dict(labels), "numbers of classes after the names"


def _one_to_one(labels: Mapping[int, str], names: Mapping[int, str]) -> dict[int, str] | None:
    """The names of images that have a label, where each label has one name and each name one
    label; images without a name have that of their label."""
    pairs = {(label, names[row]) for row, label in labels.items() if names.get(row)}
    of_label = dict(pairs)
    if len(of_label) < len(set(labels.values())) or len(of_label) < 2:
        return None
    if len(pairs) > len(of_label) or len(set(of_label.values())) < len(of_label):
        return None
    return {row: of_label[label] for row, label in labels.items()}


def _by_number(
    names: Mapping[int, str] | Sequence[str], numbers: set[int]
) -> Mapping[int, str] | None:
    """Names of classes by their numbers; a list without numbers counts from 0 where one is 0, from
    1 where the last one is used."""
    if isinstance(names, Mapping):
        return names if numbers <= names.keys() else None
    if 0 in numbers and max(numbers) < len(names):
        return dict(enumerate(names))
    return dict(enumerate(names, 1)) if max(numbers) == len(names) and 0 not in numbers else None


def folder_classes(ids: Sequence[str], class_files: ClassFiles) -> list[str] | None:
    """The class of each image by its folders: the path that a list of classes has, else the first
    folder that not all images share and that is no split. None where there are none."""
    folders = [os.path.dirname(path).split("/") if "/" in path else [] for path in ids]
    shared = in_common(folders)
    inner = [folder[shared:] for folder in folders]
    if all(inner) and all(split_named(parts[0]) for parts in inner):
        inner = [parts[1:] for parts in inner]
    if not inner or not all(inner):
        return None
    for names in class_files.values():
        own = ["/".join(parts) for parts in inner]
        if set(own) <= distinct(names):
            return own
    first = [parts[0] for parts in inner]
    return first if len(set(first)) > 1 else None


def in_common(sequences: Sequence[Items]) -> int:
    """How many first items, letters of texts or folders of paths, all have in common."""
    if not sequences:
        return 0
    first, last = min(sequences), max(sequences)
    pairs = enumerate(zip(first, last, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(first), len(last)))
