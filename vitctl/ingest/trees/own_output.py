"""What vitctl itself wrote is never a source of images: artifacts, runs and their drafts are known
by the file that each of them has, pictures (of batches, mistakes, pairs, scaling laws) by a text
that is in them.

A stranger's `run.json` or `artifact.json` is told from ours by its fields. The same holds for what
lies in an archive.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterable
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from vitctl.artifacts.files import DRAFT, RUN
from vitctl.artifacts.manifest import MANIFEST
from vitctl.errors import InputError
from vitctl.ingest.columns import Entries
from vitctl.ingest.listing import Reader, Source
from vitctl.pixels.header import BadImageError
from vitctl.pixels.picture_mark import HEAD_BYTES, is_marked
from vitctl.text import strict_json

KIND = "folders that vitctl made"
PICTURES = "pictures that vitctl made"
PICTURE = "it is a picture that vitctl made"
"""Why one that was taken for an image is left out when it is read."""
MOST_BYTES = 64 << 20
"""Of a mark that is read; the manifest of ten thousand shards has 2 MB."""

_MARKS = {
    MANIFEST: {"format", "kind", "id", "digest", "stage"},
    RUN: {"format", "kind", "id", "stage", "segments"},
    DRAFT: {"vitctl"},
}
# Opening a file takes 20 us on a local disk, and a thousand on a share.
_ALL_LOOKED_AT = 10_000
_LOOKED_AT = 32


def made_by_vitctl(folder: bytes) -> bool:
    """Whether a folder is an artifact, a run or a draft of either."""
    return any(_has_mark(folder, mark) for mark in _MARKS)


def may_be_mark(name: bytes) -> bool:
    """Whether a file of this name may say that vitctl made its folder."""
    return os.fsdecode(name) in _MARKS


def is_mark(name: bytes, content: bytes) -> bool:
    """Whether a file of this name and content says that vitctl made its folder."""
    try:
        tree = strict_json.loads(content)
    except strict_json.StrictJSONError:
        return False
    return isinstance(tree, dict) and _MARKS[os.fsdecode(name)] <= tree.keys()


def refusal(shown: str) -> InputError:
    """The error where a whole source is what vitctl made."""
    return InputError(
        f"{shown} holds only what vitctl made of images",
        hint="give the folder of the images themselves",
    )


def without_pictures(entries: Entries, source: Source) -> tuple[Entries, list[bytes]]:
    """Entries in the order of their ids, without pictures that vitctl made; and the ids of these.

    Every PNG is looked at; of more than `_ALL_LOOKED_AT` some of each folder, and the others of a
    folder where one is such a picture. What is missed is left out when it is read.
    """
    folders: dict[bytes, list[int]] = {}
    for row, id_ in enumerate(entries.ids):
        if id_[-4:].lower() == b".png":
            folders.setdefault(id_.rpartition(b"/")[0], []).append(row)
    if not folders:
        return entries, []
    most = _LOOKED_AT if sum(map(len, folders.values())) > _ALL_LOOKED_AT else None
    keep = np.ones(len(entries), bool)
    with source.reader() as reader:
        for rows in folders.values():
            some = rows if most is None or len(rows) <= most else _spread(rows, most)
            _mark_pictures(keep, some, entries=entries, reader=reader)
            if len(some) < len(rows) and not keep[some].all():
                rest = sorted({*rows} - {*some})
                _mark_pictures(keep, rest, entries=entries, reader=reader)
    return entries.where(keep), [entries.ids[row] for row in np.flatnonzero(~keep).tolist()]


def emptied(pictures: Iterable[bytes], entries: Entries) -> set[tuple[str, ...]]:
    """Folders that hold these pictures, by path, and none of the entries that are left, which are
    in the order of their ids: without the pictures, they would not be there."""
    folders = {tuple(picture.split(b"/")[:-1]) for picture in pictures}
    folders = {names[:depth] for names in folders for depth in range(1, len(names) + 1)}
    empty: set[tuple[str, ...]] = set()
    for names in folders:
        prefix = b"/".join(names) + b"/"
        row = bisect_left(entries.ids, prefix)
        if row == len(entries) or not entries.ids[row].startswith(prefix):
            empty.add(tuple(name.decode() for name in names))
    return empty


def _spread(rows: list[int], count: int) -> list[int]:
    """So many of these rows, from the first to the last at equal distances."""
    return [rows[i * (len(rows) - 1) // (count - 1)] for i in range(count)]


def _mark_pictures(
    keep: NDArray[np.bool_], rows: list[int], *, entries: Entries, reader: Reader
) -> None:
    for row in rows:
        # What can't be read, or changes meanwhile, is reported when the whole of it is read.
        with suppress(OSError, BadImageError, InputError), reader.open(entries[row]) as file:
            keep[row] = not is_marked(file.read(HEAD_BYTES) or b"")


def _has_mark(folder: bytes, mark: str) -> bool:
    path = os.path.join(folder, os.fsencode(mark))
    if not os.path.isfile(path):  # a pipe of that name would never end
        return False
    try:
        with open(path, "rb") as file:
            return is_mark(os.fsencode(mark), file.read(MOST_BYTES))
    except OSError:
        return False
