"""What vitctl itself wrote is never a source of images: artifacts, runs and their drafts are known
by the file that each of them has, replay pictures by a text that is in them.

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

from vitctl import strict_json
from vitctl.artifacts.files import DRAFT, RUN
from vitctl.artifacts.manifest import MANIFEST
from vitctl.data.sheet import MADE_BY
from vitctl.errors import InputError
from vitctl.ingest.columns import Entries
from vitctl.ingest.listing import Reader, Source
from vitctl.ingest.pixels.header import BadImageError

KIND = "folders that vitctl made"
PICTURES = "pictures that vitctl replay made"
MOST_BYTES = 64 << 20
"""Of a mark that is read; the manifest of ten thousand shards has 2 MB."""
HEAD_BYTES = 128
"""The beginning of a picture, in which the text is."""

_MARKS = {
    MANIFEST: {"format", "kind", "id", "digest", "stage"},
    RUN: {"format", "kind", "id", "stage", "segments"},
    DRAFT: {"vitctl"},
}
_PNG = b"\x89PNG\r\n\x1a\n"
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


def is_replay_picture(data: bytes) -> bool:
    """Whether these are the bytes of a picture of `vitctl replay`: its text is the first chunk."""
    return data.startswith(_PNG) and MADE_BY.encode() in data[:HEAD_BYTES]


def without_pictures(entries: Entries, source: Source) -> tuple[Entries, list[bytes]]:
    """Entries in the order of their ids, without pictures of `vitctl replay`; and the ids of these.

    Every PNG is looked at; of more than `_ALL_LOOKED_AT` the first `_LOOKED_AT` of each folder, and
    the others of a folder where one is such a picture. What is missed is rejected when it is read.
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
            _mark_pictures(keep, rows[:most], entries=entries, reader=reader)
            if most is not None and not keep[rows].all():
                _mark_pictures(keep, rows[most:], entries=entries, reader=reader)
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


def _mark_pictures(
    keep: NDArray[np.bool_], rows: list[int], *, entries: Entries, reader: Reader
) -> None:
    for row in rows:
        # What can't be read, or changes meanwhile, is reported when the whole of it is read.
        with suppress(OSError, BadImageError, InputError), reader.open(entries[row]) as file:
            keep[row] = not is_replay_picture(file.read(HEAD_BYTES) or b"")


def _has_mark(folder: bytes, mark: str) -> bool:
    path = os.path.join(folder, os.fsencode(mark))
    if not os.path.isfile(path):  # a pipe of that name would never end
        return False
    try:
        with open(path, "rb") as file:
            return is_mark(os.fsencode(mark), file.read(MOST_BYTES))
    except OSError:
        return False
