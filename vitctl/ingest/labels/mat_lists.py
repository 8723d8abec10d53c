"""MATLAB files of labels, as lists of images.

imagelabels.mat, setid.mat       labels 1 x n; trnid, valid, tstid       Flowers-102
cars_train_annos.mat             annotations(i).fname, .class            Stanford Cars
cars_annos.mat                   ... .relative_im_path, .class, .test
train_list.mat                   file_list, labels                       Stanford Dogs

"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitctl.data.dataset import Split
from vitctl.ingest.labels.image_lists import ImageList
from vitctl.ingest.reading.matlab import Variables

MOST_MAT_BYTES = 2**26
"""Of such a file; the largest, cars_annos.mat, has 0.6 MB."""
_NAMES = re.compile(
    r"(imagelabels|setid|\w*annos(_withlabels)?|\w*_meta|\w*list|\w*labels?|\w*splits?)\.mat"
)
_SETS: dict[str, Split] = {"trnid": "train", "valid": "val", "tstid": "test"}
_PATHS = ("relative_im_path", "fname", "file_list")


def may_be_mat(path: str) -> bool:
    """Whether a file may hold labels of images, by its name: one of each image's is none."""
    return _NAMES.fullmatch(os.path.basename(path).lower()) is not None


def mat_lists(files: Mapping[str, Variables], ids: Sequence[str]) -> list[ImageList]:
    """The lists of images that MATLAB files hold; `ids` are the images that are there, of which
    numbers mean those with such numbers at the end of their names."""
    titles = _class_names(files)
    sets = _sets(files)
    lists = []
    for path, variables in files.items():
        rows = _annotations(path, variables, titles)
        if rows is None:
            rows = _numbered(path, variables, sets, ids)
        if rows is not None:
            lists.append(rows)
    return lists


def _class_names(files: Mapping[str, Variables]) -> dict[int, str] | None:
    for variables in files.values():
        names = np.atleast_1d(variables.get("class_names", ()))
        if len(names) and all(isinstance(name, str) for name in names.tolist()):
            return {number: str(name).strip() for number, name in enumerate(names.tolist(), 1)}
    return None


def _annotations(
    path: str, variables: Variables, titles: Mapping[int, str] | None
) -> ImageList | None:
    """A struct array with a name of a file in each, or a cell array of names beside labels."""
    rows = variables.get("annotations")
    fields = getattr(getattr(rows, "dtype", None), "names", None) or ()
    name = next((name for name in _PATHS if name in fields), None)
    if rows is not None and name is not None:
        rows = np.atleast_1d(rows)
        labels = rows["class"] if "class" in fields else None
        is_test = _integers(rows["test"]) if "test" in fields else None
        images = rows[name]
    elif "file_list" in variables:
        images, labels, is_test = (
            np.atleast_1d(variables["file_list"]),
            variables.get("labels"),
            None,
        )
    else:
        return None
    texts = [text for text in np.ravel(images).tolist() if isinstance(text, str)]
    numbers = None if labels is None else _integers(labels)
    if len(texts) != np.size(images) or (numbers is not None and len(numbers) != len(texts)):
        return None
    columns = () if numbers is None else ([str(number) for number in numbers.tolist()],)
    splits: list[Split] | None = None
    if is_test is not None and len(is_test) == len(texts) and set(is_test.tolist()) == {0, 1}:
        splits = ["test" if test else "train" for test in is_test.tolist()]
    return ImageList(path, [text.lstrip("/") for text in texts], columns, splits, titles)


def _sets(files: Mapping[str, Variables]) -> dict[int, Split]:
    """Number of an image -> split."""
    splits: dict[int, Split] = {}
    for variables in files.values():
        for name, split in _SETS.items():
            numbers = _integers(variables.get(name, ()))
            splits |= dict.fromkeys((numbers if numbers is not None else []), split)
    return splits


def _numbered(
    path: str, variables: Variables, sets: Mapping[int, Split], ids: Sequence[str]
) -> ImageList | None:
    """A label for each image, the first of number 1, where so many images have such numbers."""
    labels = _integers(variables.get("labels", ()))
    if labels is None or len(labels) < 2 or "file_list" in variables:
        return None
    by_number: dict[int, str] = {}
    for name in ids:
        match = re.search(r"(\d{1,9})$", os.path.splitext(name)[0])
        if match is not None:
            by_number.setdefault(int(match[1]), name)
    numbers = [number for number in range(1, len(labels) + 1) if number in by_number]
    if set(by_number) != set(range(1, len(labels) + 1)):
        return None
    splits = None
    if sets:
        numbers = [number for number in numbers if number in sets]
        splits = [sets[number] for number in numbers]
    own = [str(labels[number - 1]) for number in numbers]
    return ImageList(path, [by_number[number] for number in numbers], (own,), splits)


def _integers(values: Any) -> NDArray[np.int64] | None:
    """Whole numbers, in the order in which they lie; None for others."""
    try:
        array = np.ravel(np.asarray(values, np.float64))
    except (TypeError, ValueError):
        return None
    whole = array.astype(np.int64)
    return whole if np.array_equal(whole, array) else None
