"""Zips as sources: of class folders, of splits, of anything with a label file."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from vitctl.data.names import text_of
from vitctl.errors import InputError
from vitctl.ingest.choices import Choices
from vitctl.ingest.columns import Entry
from vitctl.ingest.listing import Access, Bytes, Listing
from vitctl.ingest.parts import DamagedError, Part
from vitctl.ingest.trees.archive_tree import ArchiveTree
from vitctl.ingest.trees.archive_walk import is_archive_name
from vitctl.ingest.trees.tar import list_tars
from vitctl.ingest.trees.tree import ReadTree, without_own_output
from vitctl.ingest.trees.tree_reading import read_tree
from vitctl.ingest.trees.zip_bytes import MemberBytes
from vitctl.ingest.trees.zip_members import ZipMember, members
from vitctl.pixels.header import BadImageError

_KINDS = {
    "link": "links in the archive",
    "encrypted": "encrypted members",
    "unreadable": "members compressed in another way than deflate",
}


@dataclass(frozen=True)
class Zips:
    """Images in zips; `Entry.offset` is where the header before one's bytes is."""

    parts: tuple[Part, ...]
    access: Access = "random"

    @contextmanager
    def reader(self) -> Iterator[_ZipReader]:
        with ExitStack() as files:
            yield _ZipReader(self.parts, files)


@dataclass
class _ZipReader:
    parts: tuple[Part, ...]
    files: ExitStack
    opened: dict[int, int] = field(default_factory=dict)

    @contextmanager
    def open(self, entry: Entry) -> Iterator[Bytes]:
        part = self.parts[entry.part]
        if entry.part not in self.opened:
            descriptor = os.open(part.path, os.O_RDONLY | os.O_CLOEXEC)
            self.files.callback(os.close, descriptor)
            self.opened[entry.part] = descriptor
        descriptor = self.opened[entry.part]
        part.check_unchanged(os.fstat(descriptor))
        yield MemberBytes(descriptor, entry.offset, entry.size)
        part.check_unchanged(os.fstat(descriptor))


@contextmanager
def _opened_table(part: Part, offset: int, size: int) -> Iterator[Any]:
    with open(part.path, "rb", buffering=0) as file:
        part.check_unchanged(os.fstat(file.fileno()))
        try:
            yield MemberBytes(file.fileno(), offset, size)
        except BadImageError as error:
            raise InputError(f"is damaged in the archive: {error}") from None


def _content(descriptor: int, member: ZipMember) -> bytes:
    """The bytes of a member, none where it is damaged."""
    try:
        return MemberBytes(descriptor, member.offset, member.size).read()
    except BadImageError:
        return b""


def list_zips(
    given: str,
    paths: Sequence[bytes],
    choices: Choices,
    *,
    read: ReadTree = read_tree,
) -> Listing:
    """The images of zips, `given` by the user as one word. `read` gives their files a meaning.
    Archives in them are opened where there is no image beside them."""
    parts = tuple(Part.of(path) for path in paths)
    tree = ArchiveTree(exclude=choices.exclude)
    damage: list[str] = []
    archives = 0
    for number, part in enumerate(parts):
        with open(part.path, "rb", buffering=0) as file:
            try:
                for member in members(partial(os.pread, file.fileno()), part.size):
                    if member.kind == "folder":
                        tree.add_folder(member.name)
                    elif member.kind in _KINDS:
                        tree.skipped[_KINDS[member.kind]] += 1
                    elif not tree.add_file(
                        member.name,
                        size=member.size,
                        part=part,
                        number=number,
                        offset=member.offset,
                    ):
                        archives += is_archive_name(member.name)
                        if tree.wants_mark(member.name, size=member.size) and tree.see_mark(
                            member.name, _content(file.fileno(), member)
                        ):
                            continue
                        if choices.takes_labels and tree.wants_table(member.name):
                            opening = partial(_opened_table, part, member.offset, member.size)
                            tree.add_table(member.name, opening)
            except DamagedError as error:
                damage.append(f"{part.shown} is damaged at byte {error.at:,} ({error.reason})")
        tree.end_part()
    shown = text_of(os.fsencode(given))
    if not len(tree.files) and tree.skipped[_KINDS["encrypted"]]:
        raise InputError(
            f"the members of {shown} are encrypted",
            hint="unpack it with its password, and give the folder",
        )
    if archives and not len(tree.files):
        return list_tars(given, paths, choices, kind="tar", read=read, nested=True)
    cautions = tree.cautions_of(damage)
    files = tree.build(path=given, shown=shown, source=Zips(parts), parts=parts)
    listing = read(without_own_output(files), choices)
    zips = "a zip" if len(parts) == 1 else f"{len(parts):,} zips"
    return replace(
        listing,
        parts=parts,
        cautions=(*cautions, *listing.cautions),
        reading=f"{listing.reading}, from {zips}",
    )


def read_members(path: bytes, names: Collection[str], *, most_bytes: int) -> dict[str, bytes]:
    """The files of these names in a zip, wherever in it; those that it has. Raises `InputError` for
    one that is damaged or of more than `most_bytes`."""
    files: dict[str, bytes] = {}
    with open(path, "rb", buffering=0) as file:
        try:
            for member in members(partial(os.pread, file.fileno()), os.stat(path).st_size):
                name = text_of(member.name.rpartition(b"/")[2])
                if name not in names or member.kind != "file":
                    continue
                label = f"{text_of(member.name)} of {text_of(path)}"
                if member.size > most_bytes:
                    raise InputError(f"{label} is larger than {most_bytes >> 20} MiB")
                try:
                    data = MemberBytes(file.fileno(), member.offset, member.size).read()
                except BadImageError as error:
                    raise InputError(f"{label} can't be read: {error}") from None
                if len(data) < member.size:
                    raise InputError(f"{label} can't be read: it is cut off")
                files[name] = data
        except DamagedError:
            pass  # the listing reports it
    return files
