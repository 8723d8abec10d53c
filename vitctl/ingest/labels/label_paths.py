"""Which image each cell of a table means: by its path, without its ending, by the end of a path on
another machine, by its name alone, by a number that lost its leading zeros or became a fraction, or
in another case.

    train/0001.jpg     val\\1.jpg     0001     C:\\Users\\x\\train\\0001.jpg     1     1.0
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from vitctl.data.dataset import Split
from vitctl.ingest.folder_layout import split_in
from vitctl.ingest.litter import IMAGE_ENDINGS
from vitctl.ingest.spelling import nfc
from vitctl.text.textfiles import slashed

MISSING, AMBIGUOUS = -1, -2
_NUMBER = re.compile(r"[0-9]+")
_WHOLE = re.compile(r"[0-9]+\.0+")
_TRAIN: Split = "train"
_MASKS = re.compile(
    r"annotations?|labels?|([a-z]+[-_ ])?(masks?|trimaps?)|segmentation(s|class|object)?"
)
_BY_NUMBER = "numbers of files"
_MOST_FOLDERS = 3
"""Folders around a table's images that its paths may leave out."""


@dataclass(frozen=True)
class Match:
    """Cells as images.

    Attributes:
      rows: int64[n], the image that each cell means, `MISSING` or `AMBIGUOUS`.
      manner: how cells name images, as a phrase; empty where they are paths.
    """

    rows: NDArray[np.int64]
    manner: str = ""

    @property
    def by_number(self) -> bool:
        """Whether cells are numbers that files have in another form."""
        return self.manner.startswith(_BY_NUMBER)

    @property
    def images(self) -> int:
        """How many images are meant."""
        return len(np.unique(self.rows[self.rows >= 0]))


def split_of_name(name: str) -> Split | None:
    """The split that the name of a file or folder says, also in one word with others:
    train_images, trainLabels, ISIC_2019_Training_GroundTruth."""
    return split_in(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name))


class Paths:
    """Images, to be found by what people write for them.

    `folder` is where the table lies below the source, `below` a folder that holds all images and is
    no part of their paths, `source` the name of the source's own folder.
    """

    def __init__(
        self,
        ids: Sequence[str],
        *,
        folder: str = "",
        below: str | None = None,
        source: str = "",
        table: str = "",
    ) -> None:
        self._ids = ids
        self._folder = f"{folder}/" if folder else ""
        self._names = tuple(f"/{name}/" for name in (below, source) if name)
        self._below = f"{below}/" if below is not None else None
        self._split = split_of_name(os.path.basename(table)) or _TRAIN
        self._keys: dict[str, dict[str, int]] = {}
        self._known = set(ids)
        self._in_splits: dict[str, bool] = {}
        self._deepest = max((path.count("/") for path in ids), default=0)

    def match(self, cells: Sequence[str]) -> Match:
        """The manner that finds most images; of two the first."""
        best = self._best(self._tries(cells), len(cells))
        return best if best.images else self._best(self._last_tries(cells), len(cells), best=best)

    def _best(
        self, tries: Iterator[tuple[str, NDArray[np.int64]]], cells: int, best: Match | None = None
    ) -> Match:
        best = best or Match(np.full(cells, MISSING, np.int64))
        most = 0
        for manner, rows in tries:
            match = Match(rows, manner)
            if (images := match.images) > most:
                best, most = match, images
            if most and (rows >= 0).all():
                break
            if not best.images and (rows == AMBIGUOUS).any():
                best = match
        return best

    def _tries(self, cells: Sequence[str]) -> Iterator[tuple[str, NDArray[np.int64]]]:
        names = [slashed(cell, known=self._known) for cell in cells]
        yield "", self._paths(names, self._by("path", lambda path: path))
        yield "paths without endings", self._paths(names, self._by("stem", _stem))
        if any("/" in name for name in names):
            for depth in range(1, 1 + min(_MOST_FOLDERS, self._deepest)):
                inner = self._by(f"in {depth}", partial(_below, depth=depth))
                yield "paths in a folder", self._paths(names, inner)
                stems_in = self._by(f"stem in {depth}", partial(_stem_below, depth=depth))
                yield "paths in a folder, without endings", self._paths(names, stems_in)
            yield (
                "the ends of longer paths",
                self._by_suffix(names, self._by("path", lambda path: path)),
            )
        bases = [name.rpartition("/")[2] for name in names]
        yield "names of files", _looked_up(bases, self._by("base", _base))
        stems = self._by("base stem", lambda path: _stem(_base(path)))
        yield "names of files without endings", _looked_up(bases, stems)
        # Of a path with another ending: labels of .tif files, and .jpg ones that were made of them.
        own = [_stem(base) for base in bases]
        if own != bases:
            yield "names of files with other endings", _looked_up(own, stems)
        # A path is text, of which no program takes zeros away.
        in_no_folder = not any("/" in name for name in names)
        if in_no_folder and all(_NUMBER.fullmatch(stem) for stem in own if stem):
            numbers = self._by("number", lambda path: _number(_stem(_base(path))))
            yield (
                f"{_BY_NUMBER}, whose leading zeros the table has lost",
                _looked_up([_number(stem) or "" for stem in own], numbers),
            )

    def _last_tries(self, cells: Sequence[str]) -> Iterator[tuple[str, NDArray[np.int64]]]:
        """Where nothing else finds an image."""
        bases = [_base(slashed(cell, known=self._known)) for cell in cells]
        if all(_WHOLE.fullmatch(base) for base in bases if base):
            numbers = self._by("number", lambda path: _number(_stem(_base(path))))
            whole = [_number(base.partition(".")[0]) or "" for base in bases]
            yield f"{_BY_NUMBER}, to which a program added decimals", _looked_up(whole, numbers)
        lower = self._by("lower case", lambda path: _stem(_base(path)).lower())
        yield (
            "names of files in another case",
            _looked_up([_stem(base).lower() for base in bases], lower),
        )

    def _paths(self, names: Sequence[str], keys: dict[str, int]) -> NDArray[np.int64]:
        rows = np.full(len(names), MISSING, np.int64)
        for i, name in enumerate(names):
            if not name:
                continue
            row = keys.get(self._folder + name, MISSING) if self._folder else MISSING
            if row == MISSING:
                row = keys.get(name, MISSING)
            if row == MISSING and self._below is not None and name.startswith(self._below):
                row = keys.get(name.removeprefix(self._below), MISSING)
            if row == MISSING and not name.isascii():
                row = keys.get(nfc(name), MISSING)
            rows[i] = row
        return rows

    def _by_suffix(self, names: Sequence[str], keys: dict[str, int]) -> NDArray[np.int64]:
        """By the longest end of each path that is an image's own: `C:/Users/x/photos/cat/1.jpg`
        means `cat/1.jpg`. Names of files alone are another manner.

        What was in front of the ends tells two folders of the same names apart: of
        `train/cat/1.jpg` and `test/cat/1.jpg` the one in a folder of the source's name is meant,
        else neither.
        """
        rows = np.full(len(names), MISSING, np.int64)
        fronts: list[str] = [""] * len(names)
        deepest = max((path.count("/") for path in keys), default=0)
        for i, name in enumerate(names):
            parts = name.split("/")
            for first in range(max(0, len(parts) - 1 - deepest), len(parts) - 1):
                end = "/".join(parts[first:])
                if (row := keys.get(end if end.isascii() else nfc(end))) is not None:
                    rows[i], fronts[i] = row, "/".join(parts[:first])
                    break
        own = [f"/{front}/".endswith(self._names) for front in fronts]
        if any(own) and len(set(fronts)) > 1:
            rows[~np.array(own) & (rows != MISSING)] = MISSING
            return rows
        reached: dict[int, str] = {}
        several = {
            row
            for row, front in zip(rows.tolist(), fronts, strict=True)
            if row >= 0 and reached.setdefault(row, front) != front
        }
        rows[np.isin(rows, list(several))] = AMBIGUOUS
        return rows

    def _by(self, manner: str, key_of: Callable[[str], str | None]) -> dict[str, int]:
        """Images by a part of their paths; where several share it, the one in a folder of the
        table's split, if that is one."""
        if manner in self._keys:
            return self._keys[manner]
        keys: dict[str, int] = {}
        several: dict[str, list[int]] = {}
        for row, path in enumerate(self._ids):
            key = key_of(path)
            if key is None:
                continue
            if key in keys:
                several.setdefault(key, [keys[key]]).append(row)
            keys[key] = row
        for key, rows in several.items():
            own = [row for row in rows if self._in_split(self._ids[row])]
            if len(own) != 1:  # a mask of an image has its name
                own = [row for row in rows if not _is_mask(self._ids[row])]
            keys[key] = own[0] if len(own) == 1 else AMBIGUOUS
        if manner == "path":  # macOS decomposes names
            for path in list(keys):
                if not path.isascii():
                    keys.setdefault(nfc(path), keys[path])
        self._keys[manner] = keys
        return keys

    def _in_split(self, path: str) -> bool:
        folder = path.rpartition("/")[0]
        if folder not in self._in_splits:
            names = folder.split("/")
            self._in_splits[folder] = any(split_of_name(name) == self._split for name in names)
        return self._in_splits[folder]


def _looked_up(names: Sequence[str], keys: dict[str, int]) -> NDArray[np.int64]:
    rows = (keys.get(name, MISSING) if name else MISSING for name in names)
    return np.fromiter(rows, np.int64, len(names))


def _below(path: str, *, depth: int) -> str | None:
    """A path without its first folders: what lists in images/ or train/ say."""
    parts = path.split("/", depth)
    return parts[depth] if len(parts) > depth and "/" in parts[depth] else None


def _is_mask(path: str) -> bool:
    """Whether an image lies in a folder that is called as images of labels are."""
    return any(_MASKS.fullmatch(name) for name in path.lower().split("/")[:-1])


def _stem_below(path: str, *, depth: int) -> str | None:
    inner = _below(path, depth=depth)
    return None if inner is None else _stem(inner)


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _stem(path: str) -> str:
    stem, _, ending = path.rpartition(".")
    return stem if stem and is_image_ending(ending) else path


@lru_cache(maxsize=1000)
def is_image_ending(ending: str) -> bool:
    """Whether images have this ending, which is given without its dot."""
    return f".{ending.lower()}" in IMAGE_ENDINGS


def _number(stem: str) -> str | None:
    return str(int(stem)) if _NUMBER.fullmatch(stem) and len(stem) < 20 else None
