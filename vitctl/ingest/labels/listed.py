"""Lists of images -> labels and splits: which lists belong together, what their labels are called.

Lists of one kind differ by the split in their names (train1.txt, val1.txt, test1.txt). Kinds that
name other images complete each other; kinds that say other things of the same image are several
readings, of which a user chooses one.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vitctl.data.dataset import Split
from vitctl.data.names import text_of
from vitctl.errors import InputError
from vitctl.ingest.labels.image_lists import (
    ClassFiles,
    ImageList,
    ListedSplit,
    keyed_list,
    named_split,
    readings,
)
from vitctl.ingest.labels.label_file import FittedLabels
from vitctl.ingest.labels.label_paths import Paths, split_of_name
from vitctl.ingest.labels.listed_classes import called, folder_classes, in_common
from vitctl.ingest.labels.mat_lists import mat_lists
from vitctl.ingest.reading.matlab import Variables
from vitctl.text.quantities import counted, first_few
from vitctl.text.textfiles import Text

_SHOWN = 4
_SAMPLE = 200
_ORDER: dict[ListedSplit | None, int] = {None: 0, "train": 1, "trainval": 2, "val": 3, "test": 4}


@dataclass(frozen=True)
class ListFiles:
    """Files that may be lists of images, by their paths below the source.

    Attributes:
      texts: contents of text files.
      mats: variables of files of MATLAB.
      classes: names of classes, of files that hold such.
    """

    texts: Mapping[str, Text]
    mats: Mapping[str, Variables]
    classes: ClassFiles

    def lists(self, ids: Sequence[str]) -> list[list[ImageList]]:
        """Each list, in the ways in which it can be read."""
        folders = {os.path.dirname(path) for path in self.texts}
        keyed = [one for folder in folders if (one := keyed_list(self.texts, folder)) is not None]
        if keyed:
            return [[one] for one in keyed]
        texts = [readings(path, text) for path, text in self.texts.items()]
        return [*([one] for one in mat_lists(self.mats, ids)), *texts]


@dataclass(frozen=True)
class _Matched:
    """A list whose lines name images that are there.

    Attributes:
      rows: int64[n], the image of each line; negative where it names none.
    """

    list: ImageList
    rows: NDArray[np.int64]

    @property
    def path(self) -> str:
        return self.list.path


@dataclass
class _Kind:
    """Lists that say the same thing of several splits.

    Attributes:
      of_image: image -> (its split, its label or None).
      twice: images in lists of two splits.
    """

    name: str
    lists: list[_Matched] = field(default_factory=list)
    of_image: dict[int, tuple[Split | None, str | None]] = field(default_factory=dict)
    twice: set[int] = field(default_factory=set)

    @property
    def labelled(self) -> bool:
        return any(label is not None for _, label in self.of_image.values())

    def agrees(self, other: _Kind) -> bool:
        """Whether two kinds say the same of the images that both name, as far as both say it."""
        fewer, more = sorted((self.of_image, other.of_image), key=len)
        return all(
            image not in more
            or all(
                None in pair or pair[0] == pair[1] for pair in zip(more[image], own, strict=True)
            )
            for image, own in fewer.items()
        )


@dataclass(frozen=True)
class ListedLabels:
    """What lists say of the images of a source.

    Attributes:
      fitted: labels and splits; labels may be missing, where the lists and folders have none.
      lists: paths of the files.
      by_class_file: whether classes are paths of folders that a list of classes has.
    """

    fitted: FittedLabels
    lists: tuple[str, ...]
    by_class_file: bool = False


def listed(
    files: ListFiles,
    ids: Sequence[str],
    *,
    below: str | None,
    shown: str,
    command: str,
    strict: bool = False,
) -> ListedLabels | None:
    """What lists say of images; None if none of them is one of splits or labels.

    Args:
      ids: the images that are there.
      below: a folder that holds all images and is no part of their paths.
      shown: the source in sentences; `command`: in commands.
      strict: whether a user named the lists, so that one that names no image is an error.

    Raises InputError where lists say different things of an image.
    """
    paths: dict[tuple[str, str | None], Paths] = {}
    matched = []
    for ways in files.lists(ids):
        one = max((_match(way, ids, below, paths) for way in ways), key=_images, default=None)
        if one is None or not ways:
            continue
        if 2 * _images(one) > len(one.rows) and _images(one) * 10 >= 9 * int((one.rows >= 0).sum()):
            matched.append(one)
        elif strict:
            named = (
                f"{_images(one):,} of its {len(one.rows):,} lines name one "
                f"({ways[0].images[0]}, for one)"
                if ways[0].images
                else "no line of it can be one of a list"
            )
            raise InputError(
                f"{one.path} is no list of images in {shown}: {named}",
                hint="each line begins with the path of an image, as it lies below the source",
            )
    kinds = _kinds(matched)
    chosen = None
    for own in ([kind for kind in kinds if kind.labelled], kinds):
        chosen = chosen or _chosen(own, shown=shown, command=command, strict=strict)
    if chosen is None:
        return None
    return _read(chosen, ids, class_files=files.classes)


def _match(
    one: ImageList,
    ids: Sequence[str],
    below: str | None,
    paths: dict[tuple[str, str | None], Paths],
) -> _Matched:
    folder, name = os.path.split(one.path)
    key = folder, split_of_name(name)
    if key not in paths:
        paths[key] = Paths(ids, folder=folder, below=below, table=name)
    step = max(1, len(one.images) // _SAMPLE)
    if not (paths[key].match(one.images[::step]).rows >= 0).any():
        return _Matched(one, np.full(len(one.images), -1, np.int64))
    match = paths[key].match(one.images)
    # A number is no name of an image: lists of labels alone have one on each line.
    return _Matched(one, np.full_like(match.rows, -1) if match.by_number else match.rows)


def _images(one: _Matched) -> int:
    return len(np.unique(one.rows[one.rows >= 0]))


def _kinds(matched: Sequence[_Matched]) -> list[_Kind]:
    """Lists by what they have in common besides the split, with what each kind says. trainval is
    train where that is missing."""
    kinds: dict[str, _Kind] = {}
    for one in matched:
        _, name = named_split(one.path)
        kinds.setdefault(name, _Kind(name)).lists.append(one)
    for kind in kinds.values():
        splits = {one.list.split for one in kind.lists}
        if "train" in splits:
            kind.lists = [one for one in kind.lists if one.list.split != "trainval"]
        columns = _label_columns(kind.lists)
        for one, column in zip(kind.lists, columns, strict=True):
            by_name = _named(one.list.split)
            for place, row in enumerate(one.rows.tolist()):
                if row < 0:
                    continue
                split = by_name if one.list.splits is None else one.list.splits[place]
                label = None if column is None else column[place]
                earlier = kind.of_image.setdefault(row, (split, label))
                if earlier[0] != split:
                    kind.twice.add(row)
                    if split == "test":
                        kind.of_image[row] = split, label
    return list(kinds.values())


def _named(split: ListedSplit | None) -> Split | None:
    return "train" if split == "trainval" else split


def _label_columns(lists: Sequence[_Matched]) -> list[list[str] | None]:
    """The labels of lists of one kind: what follows the names, of several numbers the first that
    decides all others, as a class does its species. None where these are no labels: a box, a
    score."""
    nothing: list[list[str] | None] = [None] * len(lists)
    with_columns = [one for one in lists if one.list.columns]
    counts = {len(one.list.columns) for one in with_columns}
    if len(counts) != 1:
        return nothing
    joined = [
        [word for one in with_columns for word in one.list.columns[number]]
        for number in range(counts.pop())
    ]
    if any(len(set(column)) > max(2, len(column) // 2) for column in joined):
        return nothing
    for number, column in enumerate(joined):
        distinct = len(set(column))
        if all(len(set(zip(column, other, strict=True))) == distinct for other in joined):
            return [one.list.columns[number] if one.list.columns else None for one in lists]
    return nothing


def _chosen(kinds: Sequence[_Kind], *, shown: str, command: str, strict: bool) -> _Kind | None:
    """Kinds that complete or repeat each other as one. None where they are no lists of splits that
    one could train on. Raises InputError where they are several readings."""
    one = _Kind("")
    for kind in kinds:
        if not one.of_image or one.agrees(kind):
            for row, (split, label) in kind.of_image.items():
                earlier = one.of_image.get(row, (None, None))
                one.of_image[row] = (earlier[0] or split, earlier[1] or label)
            one.lists += kind.lists
            one.twice |= kind.twice
        else:
            _refuse(kinds, shown=shown, command=command)
    splits = {split for split, _ in one.of_image.values()}
    if splits <= {"train", None}:
        one.of_image = {row: (None, label) for row, (_, label) in one.of_image.items()}
        return one if one.labelled else None
    return one if strict or "train" in splits else None


def _refuse(kinds: Sequence[_Kind], *, shown: str, command: str) -> None:
    what = "labels" if kinds[0].labelled else "splits"
    patterns = [pattern_of([one.path for one in kind.lists]) for kind in kinds]
    raise InputError(
        f"lists in {shown} say different {what} of the same images: "
        f"{first_few(patterns, most=_SHOWN)}",
        hint=f"choose one: vitctl shard {command} "
        f"--labels {shlex.quote(os.path.join(command.strip(chr(39)), patterns[0]))}",
    )


def pattern_of(paths: Sequence[str]) -> str:
    """Lists in one word, as `--labels` takes it: labels/{train,val,test}1.txt."""
    if len(paths) == 1:
        return paths[0]
    paths = sorted(paths, key=lambda path: (_ORDER[named_split(path)[0]], path))
    folders = {os.path.dirname(path) for path in paths}
    folder = folders.pop() if len(folders) == 1 else ""
    names = [os.path.relpath(path, folder) if folder else path for path in paths]
    begin = re.sub(r"[A-Za-z]+$", "", names[0][: in_common(names)])
    rests = [name[len(begin) :] for name in names]
    at_the_end = in_common([rest[::-1] for rest in rests])
    end = re.sub(r"^[A-Za-z]+", "", rests[0][len(rests[0]) - at_the_end :])
    if any("/" in rest for rest in rests):
        begin, rests, end = "", names, ""
    middles = [rest.removesuffix(end) for rest in rests]
    return os.path.join(folder, f"{begin}{{{','.join(middles)}}}{end}")


def _read(kind: _Kind, ids: Sequence[str], *, class_files: ClassFiles) -> ListedLabels:
    rows = sorted(kind.of_image)
    folders = folder_classes([ids[row] for row in rows], class_files)
    by_folder = {} if folders is None else dict(zip(rows, folders, strict=True))
    labels = {row: kind.of_image[row][1] for row in rows}
    names: dict[int, str]
    if kind.labelled:
        names = {row: label for row, label in labels.items() if label is not None}
        names, how = called(
            names,
            ids,
            by_folder=by_folder,
            titles=next((one.list.titles for one in kind.lists if one.list.titles), None),
            beside={os.path.dirname(one.path) for one in kind.lists},
            class_files=class_files,
        )
    else:
        names = by_folder
        how = "labels by folders" if names else "without labels"
    splits = {ids[row]: split for row in rows if (split := kind.of_image[row][0]) is not None}
    if names and {splits.get(ids[row]) for row in names} <= {"train", None}:
        splits = {}  # images of other splits have no labels, so some of these are held out
    files = [one.path for one in kind.lists]
    missing = sum(int((one.rows < 0).sum()) for one in kind.lists)
    cautions = []
    if missing:
        total = sum(len(one.rows) for one in kind.lists)
        cautions.append(
            f"{missing:,} of the {total:,} lines of {pattern_of(files)} name no image that is "
            "there, or several; they are left out"
        )
    if kind.twice:
        cautions.append(
            f"in lists of two splits: {counted(len(kind.twice), 'image')} "
            f"({ids[min(kind.twice)]}, for one); those of test stay there alone"
        )
    return ListedLabels(
        FittedLabels(
            {
                ids[row]: (text_of(name.encode("utf-8", "surrogatepass")),)
                for row, name in names.items()
            },
            False,
            splits,
            f"lists of images, {how}" if names else "lists of images",
            cautions=tuple(cautions),
        ),
        tuple(files),
        not kind.labelled and any("/" in name for name in names.values()),
    )
