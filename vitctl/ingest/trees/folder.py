"""A folder as a source, listed without opening an image; tree.py says what its folders mean.

What vitctl wrote, what systems leave and what is no image is left alone and counted.
"""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from vitctl.data.names import bytes_of, text_of
from vitctl.errors import InputError, NotFoundError
from vitctl.ingest.choices import Choices
from vitctl.ingest.columns import EntriesBuilder, Entry
from vitctl.ingest.folder_layout import LayoutName
from vitctl.ingest.labels.label_file import LabelTable
from vitctl.ingest.labels.label_tables import LabelTables
from vitctl.ingest.labels.named_lists import NamedLists
from vitctl.ingest.listing import Access, Listing
from vitctl.ingest.litter import file_kind, folder_kind
from vitctl.ingest.spelling import nfc
from vitctl.ingest.trees import own_output
from vitctl.ingest.trees.tables_inside import Sidecars, may_be_table
from vitctl.ingest.trees.tree import ReadTree, Tree, without_own_output
from vitctl.ingest.trees.tree_reading import read_tree
from vitctl.places.local import is_there


@dataclass(frozen=True)
class Folder:
    """Files below a folder; the id of each is its path."""

    root: bytes
    access: Access = "random"

    @contextmanager
    def reader(self) -> Iterator[Folder]:
        yield self

    @contextmanager
    def open(self, entry: Entry) -> Iterator[io.FileIO]:
        with open(os.path.join(self.root, bytes_of(entry.id)), "rb", buffering=0) as file:
            _check_unchanged(entry, os.fstat(file.fileno()))
            yield file
            _check_unchanged(entry, os.fstat(file.fileno()))


def _check_unchanged(entry: Entry, info: os.stat_result) -> None:
    if (info.st_size, info.st_mtime_ns) != (entry.size, entry.mtime_ns):
        raise InputError(
            f"{entry.id} changed while it was read",
            hint="wait until nothing writes to the source, then run the command again",
        )


def list_folder(
    root: Path,
    *,
    labels: LabelTable | LabelTables | NamedLists | None = None,
    unlabelled: bool = False,
    layout: LayoutName | None = None,
    exclude: Collection[str] = (),
    own: Iterable[Path] = (),
) -> Listing:
    """List a folder of class folders, or with `labels` or `unlabelled` of images anywhere: see
    `Choices`. `own` are places that this command writes to."""
    choices = Choices(labels=labels, unlabelled=unlabelled, layout=layout, exclude=exclude)
    return read_folder(root, choices, own=own)


def read_folder(
    root: Path, choices: Choices, *, own: Iterable[Path] = (), read: ReadTree = read_tree
) -> Listing:
    """List a folder as `choices` say; `read` gives its files a meaning. Raises `NotFoundError`, or
    `InputError` and `UsageError` with what to do."""
    if not is_there(root):
        raise NotFoundError(
            f"{root} does not exist",
            hint="give a folder of class folders, or `digits` for the built-in ones",
        )
    if not root.is_dir():
        raise InputError(f"{root} is not a folder", hint="give a folder of class folders")
    tree = _walk(root, exclude=set(map(nfc, choices.exclude)), own=own)
    return read(without_own_output(tree), choices)


def _walk(root: Path, *, exclude: Collection[str], own: Iterable[Path]) -> Tree:
    """All files below a folder. Links are followed, but never into a folder that the walk is in, or
    that the source or what a link leads to lies in: all around it would be taken for images."""
    base = os.fsencode(root)
    files = EntriesBuilder()
    folders: dict[str, set[str]] = {}
    excluded: set[str] = set()
    sidecars: list[str] = []
    skipped: Counter[str] = Counter()
    made: list[bytes] = []
    outputs = {_identity(os.stat(path)) for path in own if path.is_dir()}
    stack = [(base, b"", _on_the_way_to(base))]
    while stack:
        folder, below, above = stack.pop()
        if own_output.made_by_vitctl(folder):
            if not below:
                raise own_output.refusal(text_of(base))
            skipped[own_output.KIND] += 1
            made.append(below)
            continue
        parts = below.split(b"/") if below else []
        if len(parts) == 1:
            folders.setdefault(text_of(parts[0]), set())
        elif len(parts) == 2:
            folders[text_of(parts[0])].add(text_of(parts[1]))
        for item in _scan(folder):
            name = os.fsdecode(item.name)
            path = below + b"/" + item.name if below else item.name
            try:
                if item.is_dir():
                    if kind := folder_kind(name):
                        skipped[kind] += 1
                        continue
                    identity = _identity(item.stat())
                    if identity in above:
                        skipped["links that lead back up"] += 1
                    elif identity in outputs:
                        skipped[own_output.KIND] += 1
                        made.append(path)
                    elif not below and (top := nfc(text_of(item.name))) in exclude:
                        excluded.add(top)
                        skipped["folders left out by --exclude"] += 1
                    else:
                        within = _on_the_way_to(item.path) if item.is_symlink() else {identity}
                        stack.append((item.path, path, above | within))
                elif kind := file_kind(name):
                    skipped[kind] += 1
                    if may_be_table(text := text_of(path)) and item.is_file():
                        sidecars.append(text)
                elif not item.is_file():
                    broken = item.is_symlink() and not os.path.exists(item.path)
                    skipped["broken links" if broken else "pipes, sockets and devices"] += 1
                else:
                    info = item.stat()
                    files.add(text_of(path).encode(), size=info.st_size, mtime_ns=info.st_mtime_ns)
            except OSError:
                skipped["broken links"] += 1
    return Tree(
        path=str(root),
        shown=text_of(base),
        source=Folder(base),
        files=files.build(),
        folders=folders,
        excluded=excluded,
        skipped=skipped,
        sidecars=Sidecars(sidecars, partial(_opened, base)),
        own=[text_of(path).encode() for path in made],
    )


@contextmanager
def _opened(base: bytes, path: str) -> Iterator[IO[bytes]]:
    """A file that lies among images."""
    try:
        with open(os.path.join(base, bytes_of(path)), "rb") as file:
            yield file
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror})") from None


def _scan(folder: bytes) -> Iterator[os.DirEntry[bytes]]:
    """The items of a folder, one by one: a million at once would be as many objects."""
    try:
        with os.scandir(folder) as items:
            yield from items
    except OSError as error:
        raise InputError(
            f"the folder {text_of(folder)} can't be listed ({error.strerror})",
            hint="make it readable, or move it out of the source",
        ) from None


def _on_the_way_to(folder: bytes) -> frozenset[tuple[int, int]]:
    """A folder and all that it lies in, wherever links lead to it."""
    path = os.path.realpath(folder)
    way = {_identity(os.stat(path))}
    while (parent := os.path.dirname(path)) != path:
        path = parent
        with suppress(OSError):  # one that may be passed and not looked at
            way.add(_identity(os.stat(path)))
    return frozenset(way)


def _identity(info: os.stat_result) -> tuple[int, int]:
    return info.st_dev, info.st_ino
