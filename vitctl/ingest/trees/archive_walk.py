"""The files of an archive, one after another, and of the archives in it: tars in tars, as
ImageNet's; zips in archives and tars in zips, as Kaggle's.

Depth, expansion and memory have bounds: three levels; of a zip 200 times the archive; a piece of a
file at a time, and a zip in an archive on the disk while it is read.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from dataclasses import dataclass, field
from functools import partial

from vitctl.data.names import text_of
from vitctl.errors import DoesNotFitError
from vitctl.ingest.parts import DamagedError, Part
from vitctl.ingest.reading.streams import (
    MOST_EXPANSION,
    SUSPICIOUS_BYTES,
    Compression,
    Stream,
    decompressed,
    open_stream,
)
from vitctl.ingest.trees import tar_members, zip_members
from vitctl.ingest.trees.zip_bytes import MemberStream
from vitctl.ingest.trees.zip_members import is_zip_file
from vitctl.places import nofollow
from vitctl.places.scratch import scratch

_DEEPEST = 3
ZIP = b".zip"
_PIECE = 2**20
_NESTED: dict[bytes, Compression | None] = {
    b".tar": None,
    **dict.fromkeys((b".tar.gz", b".tgz"), "gzip"),
    **dict.fromkeys((b".tar.bz2", b".tbz2", b".tbz"), "bzip2"),
    **dict.fromkeys((b".tar.xz", b".txz"), "xz"),
    **dict.fromkeys((b".tar.zst", b".tzst"), "zstd"),
}


@dataclass(frozen=True)
class ArchivedFile:
    """A file in a tar, or in a tar in it; `name` says which by its folders."""

    name: bytes
    size: int
    number: int
    """Its place among all files of its part."""
    offset: int
    stream: Stream

    def read(self, size: int = -1, /) -> bytes:
        return self.stream.read(size)


@dataclass
class ArchiveWalk:
    """The files of one part, always in the same order."""

    opens_zips: bool = False
    """Whether a part may be a zip, and zips in archives are opened."""
    damage: list[str] = field(default_factory=list)
    folders: list[bytes] = field(default_factory=list)
    others: int = 0
    links: int = 0
    cut: int | None = None
    """The number of a file that turned out to be incomplete."""
    _most_bytes: int = 0
    """Of all that lies in zips, so that none expands as no images do."""
    _count: int = 0
    _bytes: int = 0

    def all_files(self, part: Part) -> Generator[ArchivedFile]:
        """The files of a part. Raises OSError, `InputError` for a compression that can't be
        read."""
        self._most_bytes = max(SUSPICIOUS_BYTES, MOST_EXPANSION * part.size)
        if self.opens_zips and is_zip_file(part.path):
            with open(part.path, "rb", buffering=0) as file:
                yield from self._zipped(file.fileno(), part.size, below=b"", depth=0)
        else:
            with open_stream(part.path) as stream:
                yield from self._tarred(stream, below=b"", size=None, depth=0)

    def _zipped(
        self, descriptor: int, size: int, *, below: bytes, depth: int
    ) -> Generator[ArchivedFile]:
        """The files of a zip that is a file of its own."""
        try:
            for member in zip_members.members(partial(os.pread, descriptor), size):
                name = self._joined(below, member.name)
                if not self._is_file(name, member.kind):
                    continue
                self._bytes += member.size
                if self._bytes > self._most_bytes:
                    raise DamagedError(
                        member.offset,
                        f"the archive expands more than {MOST_EXPANSION} times, as no images do",
                    )
                stream = MemberStream(descriptor, member.offset, member.size)
                if (ending := self._nested(name, depth)) is not None:
                    yield from self._inside(stream, name, ending, size=member.size, depth=depth)
                else:
                    yield self._numbered(name, member.size, 0, stream)
        except DamagedError as error:
            self._note(error, below)

    def _tarred(
        self, stream: Stream, *, below: bytes, size: int | None, depth: int
    ) -> Generator[ArchivedFile]:
        """The files of a tar that begins where the stream stands."""
        newest: int | None = None
        try:
            for member in tar_members.members(stream, size=size):
                newest = None
                name = self._joined(below, member.name)
                if not self._is_file(name, member.kind):
                    continue
                if (ending := self._nested(name, depth)) is not None:
                    yield from self._inside(stream, name, ending, size=member.size, depth=depth)
                else:
                    file = self._numbered(name, member.size, member.offset, stream)
                    newest = file.number
                    yield file
        except DamagedError as error:
            self._note(error, below)
            self.cut = newest if newest is not None and stream.compressed else self.cut

    def _is_file(self, name: bytes, kind: str) -> bool:
        """Whether a member is a file; others are noted."""
        if kind == "folder":
            self.folders.append(name)
        elif kind == "link":
            self.links += 1
        elif kind != "file":
            self.others += 1
        return kind == "file"

    def _numbered(self, name: bytes, size: int, offset: int, stream: Stream) -> ArchivedFile:
        number, self._count = self._count, self._count + 1
        return ArchivedFile(name, size, number, offset, stream)

    def _nested(self, name: bytes, depth: int) -> bytes | None:
        """The ending of an archive that is opened."""
        return ending_of(name, zips=self.opens_zips) if depth < _DEEPEST else None

    def _joined(self, below: bytes, name: bytes) -> bytes:
        """The path of a member of an archive in an archive. Kaggle's `train.zip` holds a folder
        `train/`, which is the same one."""
        own = below[below.rstrip(b"/").rfind(b"/") + 1 :]
        doubled = self.opens_zips and own and name.startswith(own)
        return below + (name.removeprefix(own) if doubled else name)

    def _inside(
        self, stream: Stream, name: bytes, ending: bytes, *, size: int, depth: int
    ) -> Generator[ArchivedFile]:
        """The files of an archive in an archive, which has the next `size` bytes of the stream."""
        folder = name[: -len(ending)] + b"/"
        if ending == ZIP:
            yield from self._unzipped(stream, size, below=folder, depth=depth + 1)
        elif (compression := _NESTED[ending]) is None:
            yield from self._tarred(stream, below=folder, size=size, depth=depth + 1)
        else:
            inner = decompressed(stream, size=size, compression=compression)
            yield from self._tarred(inner, below=folder, size=None, depth=depth + 1)

    def _unzipped(
        self, stream: Stream, size: int, *, below: bytes, depth: int
    ) -> Generator[ArchivedFile]:
        """The files of a zip in an archive, which is copied to the disk meanwhile: its directory
        lies at its end."""
        with scratch(size, of=f"{text_of(below.rstrip(b'/'))}.zip") as folder:
            path = folder / "zip"
            try:
                with nofollow.opened(path, "wb") as file:
                    copied = 0
                    while copied < size and (piece := stream.read(min(size - copied, _PIECE))):
                        file.write(piece)
                        copied += len(piece)
                with open(str(path), "rb", buffering=0) as zipped:
                    yield from self._zipped(zipped.fileno(), copied, below=below, depth=depth)
            except DamagedError as error:
                self._note(error, below)
            except OSError as error:
                raise DoesNotFitError(
                    f"a zip in the archive can't be copied to {path} ({error.strerror})",
                    hint="set TMPDIR to a larger disk",
                ) from None

    def _note(self, error: DamagedError, below: bytes) -> None:
        where = f" in {text_of(below.rstrip(b'/'))}" if below else ""
        self.damage.append(f"is damaged{where} at byte {error.at:,} ({error.reason})")


def ending_of(name: bytes, *, zips: bool) -> bytes | None:
    """The ending of an archive's name; None of another file's."""
    if b".t" not in name[-8:].lower() and not (zips and name[-4:].lower() == ZIP):
        return None  # most, at a tenth of the time
    low = name.lower()
    if zips and low.endswith(ZIP):
        return ZIP
    return next((ending for ending in _NESTED if low.endswith(ending)), None)


def is_archive_name(name: bytes) -> bool:
    """Whether a member of an archive is called as an archive itself."""
    return ending_of(name, zips=True) is not None
