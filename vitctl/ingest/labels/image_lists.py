"""Lists of images that makers of datasets ship: of splits, with or without labels.

    train.txt, val.txt, test.txt     apple_pie/1005649         Food-101, DTD, SUN397
    images_variant_train.txt         1025794 707-320           FGVC-Aircraft
    annotations/trainval.txt         Abyssinian_100 1 1 1      Oxford-IIIT Pet
    images.txt and its kin           1 001.Albatross/0046.jpg  CUB-200-2011, NABirds

A list is known by its contents, since most of its lines name images that are there; its name says
the split.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vitctl.data.dataset import Split
from vitctl.ingest.litter import IMAGE_ENDINGS
from vitctl.text.textfiles import Text

ClassNames = dict[int, str] | list[str]
"""Names of classes, by their numbers or in the order of a file."""
ClassFiles = Mapping[str, ClassNames]
"""Path of a file -> names of classes."""

ListedSplit = Split | Literal["trainval"]
"""trainval is both train and val, for those who do not choose by val."""

_WORDS: dict[str, ListedSplit] = {
    **dict.fromkeys(("trainval", "train val"), "trainval"),
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}
_SPLIT = re.compile(
    r"(?<![a-z])(" + "|".join(sorted(_WORDS, key=len, reverse=True)) + r")(?![a-z])"
)
_ENDS = "|".join(ending[1:] for ending in sorted(IMAGE_ENDINGS))
_PATH_AND_REST = re.compile(rf"(.*?\.(?:{_ENDS}))(?:[ \t,;]+(.*))?", re.IGNORECASE)
_INTEGER = re.compile(r"-?\d{1,9}")
KEYED = ("images.txt", "image_class_labels.txt", "train_test_split.txt")
"""Names of the files that `keyed_list` joins."""
_CLASS_FILES = re.compile(
    r"(class(es)?([_-]?names?)?|labels?([_-]?(names?|map))?|names|categories\w*|wnids|synsets?)"
)


@dataclass(frozen=True)
class ImageList:
    """Images by their names, in the order of a file.

    Attributes:
      path: of the file, below the source.
      images: what a line calls an image.
      columns: what follows it on each line: nothing, one text, or several numbers.
      splits: of each image, where the file itself says them.
      titles: names of classes by their numbers, where the file itself says them.
    """

    path: str
    images: list[str]
    columns: tuple[list[str], ...] = ()
    splits: list[Split] | None = None
    titles: Mapping[int, str] | None = None

    @property
    def split(self) -> ListedSplit | None:
        return named_split(self.path)[0]


def named_split(path: str) -> tuple[ListedSplit | None, str]:
    """The split that the name of a list says, and what lists of the same kind have in common: the
    path without it. A word of another meaning behind it (train_test_split) says none."""
    folder, name = os.path.split(path)
    stem, ending = os.path.splitext(name)
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stem).lower().replace("_", " ").replace("-", " ")
    matches = list(_SPLIT.finditer(plain))
    kinds = {_WORDS[match[1]] for match in matches}
    if len(kinds) != 1:
        return None, path
    kind = f"{plain[: matches[0].start()]}*{plain[matches[0].end() :]}"
    return kinds.pop(), os.path.join(folder, kind + ending.lower())


def may_be_list(path: str) -> bool:
    """Whether a text file may be a list of images, or of classes, by its name."""
    name = os.path.basename(path).lower()
    if not name.endswith(".txt"):
        return False
    return name in KEYED or names_classes(path) or named_split(path)[0] is not None


def names_classes(path: str) -> bool:
    """Whether a text file is called as lists of classes are."""
    stem, ending = os.path.splitext(os.path.basename(path).lower())
    return ending == ".txt" and _CLASS_FILES.fullmatch(stem) is not None


def readings(path: str, text: Text) -> list[ImageList]:
    """A list in each way in which its lines can be read: as names of images with nothing behind
    them, and as a name with labels after it. The images that are there decide."""
    lines = [line.strip() for _, line in text.numbered() if not line.lstrip().startswith("#")]
    if not lines:
        return []
    whole = [_relative(line) for line in lines]
    pairs = [_split_line(line) for line in lines]
    if not any(rest for _, rest in pairs):
        return [ImageList(path, [image for image, _ in pairs])]
    with_rest = ImageList(path, [image for image, _ in pairs], _columns([r for _, r in pairs]))
    return [with_rest, ImageList(path, whole)]


def _split_line(line: str) -> tuple[str, str]:
    """(name of an image, the rest). Names with the ending of an image may hold spaces."""
    match = _PATH_AND_REST.fullmatch(line)
    if match is not None:
        return _relative(match[1]), (match[2] or "").strip()
    image, *rest = re.split(r"[ \t,;]+", line, maxsplit=1)
    return _relative(image), rest[0].strip() if rest else ""


def _relative(name: str) -> str:
    """SUN397 begins its paths with a slash."""
    return name.lstrip("/")


def _columns(rests: Sequence[str]) -> tuple[list[str], ...]:
    """What follows the names: columns where it is whole numbers on all lines, else one of texts."""
    rows = [re.split(r"[ \t,;]+", rest) for rest in rests]
    counts = {len(row) for row in rows}
    if len(counts) == 1 and all(_INTEGER.fullmatch(word) for row in rows for word in row):
        return tuple(list(column) for column in zip(*rows, strict=True))
    return (list(rests),)


def keyed_list(texts: Mapping[str, Text], folder: str) -> ImageList | None:
    """The images of CUB-200-2011 and NABirds, whose files in `folder` join a number or another key
    with a path, a class, and 1 for images to train on. None for other files."""
    tables = [_pairs(texts.get(os.path.join(folder, name))) for name in KEYED]
    images, labels, in_train = tables
    if not images or not labels:
        return None
    keys = [key for key in images if key in labels]
    splits: list[Split] | None = None
    if in_train and set(in_train.values()) <= {"0", "1"}:
        keys = [key for key in keys if key in in_train]
        splits = ["train" if in_train[key] == "1" else "test" for key in keys]
    return ImageList(
        os.path.join(folder, KEYED[0]),
        [_relative(images[key]) for key in keys],
        ([labels[key] for key in keys],),
        splits,
    )


def _pairs(text: Text | None) -> dict[str, str]:
    if text is None:
        return {}
    rows = (line.strip().split(None, 1) for _, line in text.numbered())
    return {row[0]: row[1] for row in rows if len(row) == 2}


def class_names(text: Text) -> ClassNames:
    """Names of classes by the numbers that a list has before or after them, else in its order."""
    lines = [line.strip() for _, line in text.numbered()]
    number, name = r"(?P<number>\d{1,9})", r"(?P<name>\S.*)"
    for pattern in (rf"{number}[ \t:,]+{name}", rf"{name}[ \t:,]+{number}"):
        matches = [re.fullmatch(pattern, line) for line in lines]
        if lines and all(matches):
            names = {int(match["number"]): _relative(match["name"]) for match in matches if match}
            if len(names) == len(lines):
                return names
    return [_relative(line) for line in lines]


def distinct(names: ClassNames) -> set[str]:
    """The names, each once."""
    return set(names.values() if isinstance(names, dict) else names)
