"""Tars as sources: of class folders, of splits, of tars (as ImageNet's), and WebDataset's shards;
and archives of zips and tars (as Kaggle's of `train.zip` and `test.zip`).

A tar that is not compressed is read where it is, at random, tars in it included. Others are read
from front to back. A zip in an archive, and a tar in a zip, is opened only where the archive holds
no image beside it: else what is in it may be a copy of the same.

WebDataset (github.com/webdataset/webdataset): files with one key, the path up to the first dot of
the file's name, lie next to each other and are one sample. `KEY.cls` holds its class, a number or a
name.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import numpy as np

from vitctl.data.names import text_of
from vitctl.errors import InputError
from vitctl.ingest.choices import Choices
from vitctl.ingest.columns import Entry
from vitctl.ingest.listing import Access, Listing
from vitctl.ingest.parts import DamagedError, Part
from vitctl.ingest.reading.windows import InParts, opened_window
from vitctl.ingest.table import in_parts, read_table
from vitctl.ingest.trees.archive_tree import ArchiveTree
from vitctl.ingest.trees.archive_walk import ZIP, ArchivedFile, ArchiveWalk
from vitctl.ingest.trees.tree import ReadTree
from vitctl.ingest.trees.tree_reading import read_tree
from vitctl.pixels.picture_mark import HEAD_BYTES, is_marked

TarKind = Literal["tar", "webdataset"]

_CLASS_ENDING = ".cls"
_NO_CLASS = f"images without a {_CLASS_ENDING} file"
_NONE, _SEVERAL = -1, -2
_OTHER = "devices, pipes and sparse files"
_LINKS = "links in the archive"
_MOST_CLASS_BYTES = 4096


@dataclass(frozen=True)
class TarsInOrder:
    """Images of tars that are compressed, or hold such; `Entry.offset` is the number of a file.
    With `nested` the parts are zips, too, and zips in them are opened."""

    parts: tuple[Part, ...]
    nested: bool = False
    access: Access = "in order"

    @contextmanager
    def reader(self) -> Iterator[_InOrderReader]:
        with ExitStack() as files:
            yield _InOrderReader(self.parts, files, nested=self.nested)


@dataclass
class _InOrderReader:
    parts: tuple[Part, ...]
    files: ExitStack
    nested: bool = False
    part: int | None = None
    walk: Iterator[ArchivedFile] = field(default_factory=lambda: iter(()))

    @contextmanager
    def open(self, entry: Entry) -> Iterator[ArchivedFile]:
        if entry.part != self.part:
            self.files.close()
            part = self.parts[entry.part]
            part.check_unchanged()
            walk = ArchiveWalk(opens_zips=self.nested).all_files(part)
            self.part, self.walk = entry.part, self.files.enter_context(closing(walk))
        for file in self.walk:
            if file.number == entry.offset:
                yield file
                return
        raise InputError(
            f"{self.parts[entry.part].shown} has no {entry.id} any longer",
            hint="wait until nothing writes to it, then run the command again",
        )


def _beginning(file: ArchivedFile, size: int) -> bytes:
    """The first bytes of a file, none where the archive is damaged: the walk meets that again."""
    try:
        return file.read(size)
    except DamagedError:
        return b""


class _Samples:
    """The classes of images, from the .cls files beside them."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.labels = array("i")
        """Of each image that was taken; `_NONE` if it has no class, `_SEVERAL` if its sample says
        several."""
        self.files = 0
        """How many .cls files were read."""
        self._key: bytes | None = None
        self._class = _NONE
        self._first = 0

    def see(self, file: ArchivedFile) -> None:
        """Every file, before `add_image` if it is one."""
        folder, slash, name = file.name.rpartition(b"/")
        stem, _, ending = name.partition(b".")
        key = folder + slash + stem
        if key != self._key:
            self.end()
            self._key = key
        if ending == b"cls" and file.size <= _MOST_CLASS_BYTES and (text := file.read(file.size)):
            self.files += 1
            name_ = text_of(text.strip())
            label = self.names.setdefault(name_, len(self.names))
            self._class = label if self._class in (_NONE, label) else _SEVERAL

    def add_image(self) -> None:
        self.labels.append(_NONE)

    def end(self) -> None:
        """The sample is over."""
        for i in range(self._first, len(self.labels)):
            self.labels[i] = self._class
        self._key, self._class, self._first = None, _NONE, len(self.labels)


def list_tars(
    given: str,
    paths: Sequence[bytes],
    choices: Choices,
    *,
    kind: TarKind | None = None,
    read: ReadTree = read_tree,
    nested: bool = False,
) -> Listing:
    """The images of tars, `given` by the user as one word. `kind` says what they are; by default a
    tar with a .cls file is a WebDataset. `read` gives the files of others a meaning. With `nested`
    some may be zips, and zips in them are opened."""
    parts = tuple(Part.of(path) for path in paths)
    tree = ArchiveTree(exclude=choices.exclude)
    samples = _Samples()
    offsets, numbers = array("q"), array("q")
    in_order = nested
    zips = 0
    damage: list[str] = []
    for number, part in enumerate(parts):
        walk = ArchiveWalk(opens_zips=nested)
        with closing(walk.all_files(part)) as files_of_part:
            for file in files_of_part:
                zips += file.name[-4:].lower() == ZIP
                if kind != "tar":
                    samples.see(file)
                if tree.add_file(
                    file.name, size=file.size, part=part, number=number, offset=len(offsets)
                ):
                    if file.name[-4:].lower() == b".png" and is_marked(
                        _beginning(file, HEAD_BYTES)
                    ):
                        tree.take_back_picture(file.name)
                        continue
                    samples.add_image()
                    offsets.append(file.offset)
                    numbers.append(file.number)
                    in_order = in_order or file.stream.compressed
                    continue
                content = None
                if tree.wants_mark(file.name, size=file.size):
                    content = _beginning(file, file.size)
                    if tree.see_mark(file.name, content):
                        continue
                if choices.takes_labels and tree.wants_table(file.name):
                    if file.stream.compressed:
                        unread = partial(file.read, file.size)
                        contents = unread if content is None else partial(bytes, content)
                        tree.hold_table(file.name, contents, size=file.size)
                    else:
                        window = partial(opened_window, part, file.offset, file.size)
                        tree.add_table(file.name, window)
        if walk.cut is not None and numbers and numbers[-1] == walk.cut:
            tree.files.pop()
        samples.end()
        for name in walk.folders:
            tree.add_folder(name)
        tree.end_part()
        if walk.others:
            tree.skipped[_OTHER] += walk.others
        if walk.links:
            tree.skipped[_LINKS] += walk.links
        damage += [f"{part.shown} {fault}" for fault in walk.damage]
    if zips and not nested and not len(tree.files):
        return list_tars(given, paths, choices, kind=kind, read=read, nested=True)
    cautions = tree.cautions_of(damage)
    shown = text_of(os.fsencode(given))
    source = TarsInOrder(parts, nested) if in_order else InParts(parts)
    where = np.array(numbers if in_order else offsets, np.int64)
    webdataset = kind == "webdataset" or (kind is None and bool(samples.names))
    if webdataset and not samples.names and choices.takes_labels:
        raise InputError(
            f"{shown} holds no .cls file, so its images have no classes",
            hint="give labels that lie in other files (KEY.json, KEY.txt) as one table of images "
            "and labels, --labels FILE, or shard without any: --unlabelled",
        )
    if webdataset:
        files = tree.built_files(shown=shown)
        classes = np.array(samples.labels, np.int32)[files.offsets]
        if not choices.takes_labels:
            files = files.unlabelled()
        else:
            tree.skipped[f"{_CLASS_ENDING} files"] -= samples.files
            if missing := int((classes == _NONE).sum()):
                tree.skipped[_NO_CLASS] += missing
            if several := int((classes == _SEVERAL).sum()):
                cautions.append(
                    f"{several:,} images of {shown} are left out: files of one key say several "
                    "classes, so it is not known which is whose"
                )
            if len(classes) and (classes == _NONE).all():
                raise InputError(
                    f"no image in {shown} has a .cls file next to it",
                    hint="the files of a key must follow each other: make the tar with --sort=name",
                )
            files = files.labelled_one_each(classes).where(classes >= 0)
        files, splits = in_parts(
            files, [part.path for part in parts], layout=choices.layout, shown=shown
        )
        listing = read_table(
            Listing(
                shown,
                source,
                files,
                list(samples.names),
                skipped=+tree.skipped,
                reading=f"{shown} is read as a WebDataset, {splits}",
            ),
            choices,
        )
    else:
        listing = read(
            tree.build(path=given, shown=shown, source=source, parts=parts),
            choices,
        )
    if nested:
        tars = "an archive" if len(parts) == 1 else f"{len(parts):,} archives"
        tars += " of archives"
    else:
        tars = "a tar" if len(parts) == 1 else f"{len(parts):,} tars"
    return replace(
        listing,
        entries=replace(listing.entries, offsets=where[listing.entries.offsets]),
        parts=parts,
        cautions=(*cautions, *listing.cautions),
        reading=f"{listing.reading}, from {tars}{' read from front to back' * in_order}",
    )
