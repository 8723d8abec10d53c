"""Paths of an archive's members -> a tree of files, as if it had been unpacked.

No member is ever written under its name, so none can escape; still `..` is refused, since what lies
outside the archive is no part of the source.
"""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import IO

import numpy as np

from vitctl.data.names import text_of
from vitctl.errors import InputError
from vitctl.ingest.columns import Entries, EntriesBuilder, Strings
from vitctl.ingest.folder_layout import split_named
from vitctl.ingest.listing import Source
from vitctl.ingest.litter import file_kind, folder_kind
from vitctl.ingest.parts import DamagedError, Part
from vitctl.ingest.spelling import nfc
from vitctl.ingest.trees import own_output
from vitctl.ingest.trees.tables_inside import MOST_BYTES, Sidecars, may_be_table
from vitctl.ingest.trees.title_files import MOST_BYTES as TITLE_BYTES
from vitctl.ingest.trees.title_files import names_titles
from vitctl.ingest.trees.tree import Tree

_OUT = "members whose path leads out of the archive (..)"
_NO_FILES = {b"..": _OUT, b".": "members without a name", b"": "members without a name"}
_AGAIN = "members that a later one of the same name replaces"
# Of folders: the one that may hold all, classes or splits in it, and classes in those.
_DEPTH = 3
_MOST_TITLE_FILES = 20


class ArchiveTree:
    """Takes members one by one, those of one part after another.

    What says that vitctl made a folder holds in its own part: another archive may have images in
    a folder of that name.
    """

    def __init__(self, *, exclude: Collection[str] = ()) -> None:
        self.files = EntriesBuilder()
        self.skipped: Counter[str] = Counter()
        self._exclude = set(map(nfc, exclude))
        self._folders: set[tuple[str, ...]] = set()
        self._folder: bytes | None = None
        self._below = b""
        self._left_alone: str | None = None
        self._tables: dict[str, Callable[[], AbstractContextManager[IO[bytes]]]] = {}
        self._table_bytes = 0
        self._own: dict[int, set[bytes]] = {}
        self._parts = 0
        self._own_here: set[bytes] = set()
        self._folders_here: set[tuple[str, ...]] = set()
        self._tables_here: dict[str, Callable[[], AbstractContextManager[IO[bytes]]]] = {}
        self._pictures: list[bytes] = []

    def add_file(self, name: bytes, *, size: int, part: Part, number: int, offset: int) -> bool:
        """Whether a member may be an image, and is taken. `number` is that of the part."""
        folder, _, file = name.rpartition(b"/")
        if folder != self._folder:  # members of one lie together
            self._folder, (self._below, self._left_alone) = folder, self._entered(folder)
        kind = self._left_alone or _NO_FILES.get(file) or file_kind(os.fsdecode(file))
        if kind is not None:
            self.skipped[kind] += 1
            return False
        self.files.add(
            self._below + text_of(file).encode(),
            size=size,
            mtime_ns=part.mtime_ns,
            part=number,
            offset=offset,
        )
        return True

    def wants_mark(self, name: bytes, *, size: int) -> bool:
        """Whether a member that `add_file` has just refused may say that vitctl made its folder."""
        return (
            self._left_alone is None
            and own_output.may_be_mark(name.rpartition(b"/")[2])
            and size <= own_output.MOST_BYTES
        )

    def see_mark(self, name: bytes, content: bytes) -> bool:
        """Whether such a member, right after `add_file` has refused it, says so."""
        if own_output.is_mark(name.rpartition(b"/")[2], content):
            self._own_here.add(self._below)
            return True
        return False

    def take_back_picture(self, name: bytes) -> None:
        """The newest member, which was taken, is a picture that vitctl made."""
        self.files.pop()
        self.skipped[own_output.PICTURES] += 1
        self._pictures.append(self._below + text_of(name.rpartition(b"/")[2]).encode())

    def wants_table(self, name: bytes) -> bool:
        """Whether a member that `add_file` has just refused may be a table of labels, or give
        classes readable names."""
        path = name.decode("utf-8", "replace")
        return self._left_alone is None and (may_be_table(path) or names_titles(path))

    def add_table(
        self, name: bytes, opening: Callable[[], AbstractContextManager[IO[bytes]]]
    ) -> None:
        """A table of labels among the members, right after `add_file` has refused it."""
        self._tables_here[self._below.decode() + text_of(name.rpartition(b"/")[2])] = opening

    def hold_table(self, name: bytes, read: Callable[[], bytes], *, size: int) -> None:
        """A table in an archive that is read once, from front to back: its contents are kept."""
        if self._table_bytes + size > MOST_BYTES:
            self.skipped["tables too large to be kept from a compressed archive"] += 1
            return
        self._table_bytes += size
        self.add_table(name, partial(io.BytesIO, read()))

    def add_folder(self, name: bytes) -> None:
        self._entered(name)

    def end_part(self) -> None:
        """All members of a part were given; the next one is that of the next part."""
        own = self._own_here
        self._folders.update(
            names
            for names in self._folders_here
            if not _is_below(f"{'/'.join(names)}/".encode(), own)
        )
        self._tables |= {
            path: opening
            for path, opening in self._tables_here.items()
            if not _is_below(path.encode(), own)
        }
        if own:
            self._own[self._parts] = own
            self.skipped[own_output.KIND] += sum(not _is_below(top, own - {top}) for top in own)
        self._parts += 1
        self._folder = None
        self._own_here, self._folders_here, self._tables_here = set(), set(), {}

    def _entered(self, folder: bytes) -> tuple[bytes, str | None]:
        """What the paths of its files begin with; and why they are left alone, if they are."""
        parts = [part for part in folder.split(b"/") if part not in (b"", b".")]
        if b".." in parts:
            return b"", _OUT
        kinds = (folder_kind(os.fsdecode(part)) for part in parts)
        if (kind := next((kind for kind in kinds if kind), None)) is not None:
            return b"", kind
        names = [text_of(part) for part in parts]
        self._folders_here.update(
            tuple(names[:depth]) for depth in range(1, len(names) + 1)[:_DEPTH]
        )
        return "".join(f"{name}/" for name in names).encode(), None

    def cautions_of(self, damage: Sequence[str]) -> list[str]:
        """What to say of archives that break off, once all were listed. Raises `InputError` where
        they broke off before the first image."""
        if damage and not len(self.files):
            raise InputError(
                f"{damage[0]}, and there is no image in what can be read", hint="download it again"
            )
        return [f"{fault}; what lies before is taken" for fault in damage]

    def build(self, *, path: str, shown: str, source: Source, parts: Collection[Part]) -> Tree:
        """The tree. Raises `InputError` where two archives hold one path."""
        files = self.built_files(shown=shown)
        files = self._last_of_each(files, list(parts))
        made = (folder for folders in self._own.values() for folder in folders)
        own = [*self._pictures, *(folder.removesuffix(b"/") for folder in made)]
        empty = own_output.emptied(own, files)
        below, files = _without_lone_top(files)
        files, excluded = self._without_excluded(files)
        folders: dict[str, set[str]] = {}
        for names in self._folders:
            if names in empty:
                continue
            if names[:1] == (below,):
                names = names[1:]
            if names:
                folders.setdefault(names[0], set()).update(names[1:2])
        tables = {path.removeprefix(f"{below}/"): opening for path, opening in self._tables.items()}
        return Tree(
            path=path,
            shown=shown,
            source=source,
            files=files,
            folders=folders,
            excluded=excluded,
            skipped=self.skipped,
            below=below,
            sidecars=Sidecars(
                [path for path in tables if may_be_table(path)], lambda path: tables[path]()
            ),
            title_files=_contents(tables),
        )

    def built_files(self, *, shown: str) -> Entries:
        """All members that were taken but those in folders that vitctl made. Raises `InputError`
        where it made all of every part."""
        if len(self._own) == self._parts and all(b"" in own for own in self._own.values()):
            raise own_output.refusal(shown)
        files = self.files.build()
        if not self._own:
            return files
        own = (self._own.get(part, ()) for part in files.parts.data)
        mask = (not _is_below(id_, own) for id_, own in zip(files.ids, own, strict=True))
        return files.where(np.fromiter(mask, bool, len(files)))

    def _without_excluded(self, files: Entries) -> tuple[Entries, set[str]]:
        """Without what is in top folders that are excluded, and their names."""
        if not self._exclude:
            return files, set()
        excluded: set[str] = set()
        keep = np.ones(len(files), bool)
        for row, path in enumerate(files.ids):
            top, slash, _ = path.partition(b"/")
            if slash and (name := nfc(top.decode())) in self._exclude:
                excluded.add(name)
                keep[row] = False
        if not keep.all():
            self.skipped["images in folders left out by --exclude"] += int((~keep).sum())
        return files.where(keep), excluded

    def _last_of_each(self, files: Entries, parts: list[Part]) -> Entries:
        """Without members that are there again, as unpacking would leave them."""
        keep = np.ones(len(files), bool)
        ids = iter(files.ids)
        previous = next(ids, None)
        for row, id_ in enumerate(ids, start=1):
            if id_ == previous:
                one, other = (parts[files.parts[i]].shown for i in (row - 1, row))
                if one != other:
                    raise InputError(
                        f"{one} and {other} both hold {id_.decode()}",
                        hint=_way_of_twins(one, other),
                    )
                keep[row - 1] = False
            previous = id_
        if not keep.all():
            self.skipped[_AGAIN] += int((~keep).sum())
        return files.where(keep)


def _contents(
    tables: Mapping[str, Callable[[], AbstractContextManager[IO[bytes]]]],
) -> dict[str, bytes]:
    """What those hold that may give classes readable names; damaged ones are no such files."""
    contents: dict[str, bytes] = {}
    for path in filter(names_titles, tables):
        try:
            with tables[path]() as file:
                content = file.read(TITLE_BYTES + 1)
        except (InputError, DamagedError, OSError):
            continue
        if len(content) <= TITLE_BYTES and len(contents) < _MOST_TITLE_FILES:
            contents[path] = content
    return contents


def _is_below(path: bytes, folders: Collection[bytes]) -> bool:
    """Whether a path is in one of these folders, which end with a slash, or is one of them; all
    is in the one without a name."""
    if not folders or b"" in folders:
        return bool(folders)
    end = path.find(b"/")
    while end >= 0:
        if path[: end + 1] in folders:
            return True
        end = path.find(b"/", end + 1)
    return False


def _without_lone_top(files: Entries) -> tuple[str | None, Entries]:
    """Archives often hold one folder, and the classes in it: that folder, and paths below it."""
    if not len(files):
        return None, files
    top, *rest = files.ids[0].split(b"/")
    prefix = top + b"/"
    nested = False
    for path in files.ids:
        if not path.startswith(prefix):
            return None, files
        nested = nested or path.count(b"/") > 1
    if not rest or not nested or split_named(top.decode()):
        return None, files
    return top.decode(), replace(files, ids=Strings.of(path[len(prefix) :] for path in files.ids))


def _way_of_twins(*archives: str) -> str:
    """What to do with archives that hold files of the same names."""
    stems = [os.path.basename(archive).partition(".")[0] for archive in archives]
    if all(split_named(stem) for stem in stems):
        return (
            "they are called as splits: unpack each into a folder of its name ("
            + " and ".join(f"{stem}/" for stem in stems)
            + "), and give the folder of these"
        )
    return "give one of them; if they are shards of a WebDataset, say so: --format webdataset"
