"""Lists of images that `--labels` names: 'dtd/labels/{train,val,test}1.txt', cars_annos.mat.

They may lie anywhere. Files of classes, and other files that belong to them, are looked for beside
them.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vitctl.errors import InputError
from vitctl.ingest.labels.image_lists import (
    KEYED,
    ClassNames,
    class_names,
    names_classes,
)
from vitctl.ingest.labels.label_file import FittedLabels
from vitctl.ingest.labels.listed import ListFiles, listed, pattern_of
from vitctl.ingest.labels.mat_lists import MOST_MAT_BYTES, may_be_mat
from vitctl.ingest.reading.matlab import Variables, read_mat
from vitctl.text.textfiles import Text, read_bytes, read_text


@dataclass(frozen=True)
class NamedLists:
    """Lists of images, and what lies beside them.

    Attributes:
      given: how a user named them.
      files: their paths are below the source, where they lie there.
    """

    given: str
    files: ListFiles

    def fit(self, ids: Sequence[str], *, shown: str, below: str | None = None) -> FittedLabels:
        """The labels and splits of these images. Raises `InputError` where the lists say none of
        them, or contradict each other."""
        one = listed(
            self.files, ids, below=below, shown=shown, command=shlex.quote(shown), strict=True
        )
        label = f"--labels {self.given}"
        if one is None:
            raise InputError(
                f"{label} says neither labels nor splits of the images in {shown}",
                hint="a list has the path of an image on each line, or a path and its class; its "
                "name says the split: train.txt, val.txt, test.txt",
            )
        if not one.fitted.labels:
            raise InputError(
                f"{label} says no labels, and the images in {shown} lie in no folders of classes",
                hint="write a table of images, labels and splits (image,label,split), and give "
                "that with --labels",
            )
        return replace(one.fitted, reading=f"{pattern_of(one.lists)}, {one.fitted.reading}")


def is_list_file(path: Path) -> bool:
    """Whether a single file that `--labels` names is read here, and is no table."""
    return path.suffix.lower() == ".mat" or path.name.lower() in KEYED


def read_lists(paths: Sequence[Path], *, source: Path, given: str) -> NamedLists:
    """Lists of images. Raises `InputError` where one can't be read."""
    texts: dict[str, Text] = {}
    mats: dict[str, Variables] = {}
    classes: dict[str, ClassNames] = {}
    names = {path: _below(path, source) for path in paths}
    for path, name in names.items():
        label = f"--labels {path}"
        if path.suffix.lower() == ".mat":
            mats[name] = _mat(path, label=label)
        elif path.suffix.lower() in (".txt", ".lst", ".list", ""):
            texts[name] = read_text(path, label=label)
            if not any(line.strip() for _, line in texts[name].numbered()):
                raise InputError(
                    f"{label} is empty: it names no image",
                    hint="leave it out, or write it again",
                )
        else:
            raise InputError(
                f"{label} is no list of images",
                hint="several files are lists of splits (train.txt, test.txt), files of MATLAB, or "
                "all of them tables: '{train,val}.csv'",
            )
    for folder in {path.parent for path in paths}:
        for path in sorted(folder.iterdir()):
            name = _below(path, source)
            if path in names or not path.is_file():
                continue
            if names_classes(path.name):
                classes[name] = class_names(read_text(path))
            elif path.name in KEYED and any(one.name in KEYED for one in paths):
                texts[name] = read_text(path)
            elif mats and may_be_mat(path.name):
                mats[name] = _mat(path, label=str(path))
    return NamedLists(given, ListFiles(texts, mats, classes))


def _mat(path: Path, *, label: str) -> Variables:
    data = read_bytes(path, label=label, most_bytes=MOST_MAT_BYTES)
    return read_mat(data, label=label, most_bytes=2 * MOST_MAT_BYTES)


def _below(path: Path, source: Path) -> str:
    """A path below the source; as it is for a file elsewhere."""
    own, root = path.resolve(), source.resolve()
    return own.relative_to(root).as_posix() if own.is_relative_to(root) else str(path)
