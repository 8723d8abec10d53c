"""Files of arrays, on the disk or in an archive: read from front to back, or at random, wherever
they lie.

    cifar-10-binary.tar.gz    cifar-10-batches-bin/data_batch_1.bin ...
    archive.zip               train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz ...

Nothing is unpacked to the disk, but a compressed file that is read at random: it is copied to
TMPDIR while it is read. A folder or an archive is one of arrays if it holds no image, and
few enough files.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import IO

from vitctl.data.names import text_of
from vitctl.errors import InputError
from vitctl.ingest.litter import IMAGE_ENDINGS, folder_kind
from vitctl.ingest.parts import DamagedError, Part
from vitctl.ingest.reading.seekable import seekable
from vitctl.ingest.reading.streams import (
    Stream,
    Stretch,
    compression_of,
    decompressed,
    open_stream,
)
from vitctl.ingest.trees import own_output, zip_members
from vitctl.ingest.trees.archive_walk import ArchivedFile, ArchiveWalk, is_archive_name
from vitctl.ingest.trees.zip_members import is_zip_file
from vitctl.pixels.file_kinds import HEAD_BYTES

_MOST_FILES = 100
"""Of a folder or an archive of arrays; CIFAR-10 has six, and a page and names of classes."""
_MOST_TEXT_BYTES = 2**16
_PIECE_BYTES = 2**20


@dataclass(frozen=True)
class Archived:
    """Which file of an archive it is: its place in the walk through it."""

    number: int


@dataclass(frozen=True)
class ArrayFile:
    """A file that may hold arrays.

    Attributes:
      part: the file on the disk; of one in an archive, that archive.
      name: its path, or the one in its archive.
      size: its bytes, as they lie there.
      inside: which file of its archive it is; None for a file on the disk.
      archive: the files of its archive, by name.
    """

    part: Part
    name: bytes
    size: int
    inside: Archived | None = None
    archive: Mapping[bytes, ArrayFile] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def on_disk(cls, path: bytes) -> ArrayFile:
        part = Part.of(path)
        return cls(part, path, part.size)

    @property
    def base(self) -> str:
        return os.fsdecode(os.path.basename(self.name))

    @property
    def shown(self) -> str:
        if self.inside is None:
            return self.part.shown
        return f"{text_of(self.name)} in {self.part.shown}"

    @contextmanager
    def opened(self) -> Iterator[Stream]:
        """What it holds, decompressed. Raises OSError, `DamagedError` that names this file."""
        with self._named(), opened_in(self.part, self.inside) as stream:
            yield stream

    @contextmanager
    def opened_at_random(self) -> Iterator[IO[bytes]]:
        """The same as a file that can be sought in. Raises `DoesNotFitError`, too."""
        with self._named(), opened_at_random_in(self.part, self.inside) as file:
            yield file

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except DamagedError as error:
            error.file = self.shown
            raise

    def head(self) -> bytes:
        """The first bytes of what it holds."""
        with self.opened() as stream:
            return stream.read(HEAD_BYTES)

    def beside(self, base: str) -> ArrayFile | None:
        """The file of another name in its folder; None where there is none."""
        path = os.path.join(os.path.dirname(self.name), os.fsencode(base))
        if self.inside is not None:
            return self.archive.get(path)
        return ArrayFile.on_disk(path) if os.path.isfile(path) else None

    def lines_beside(self, base: str) -> list[str] | None:
        """The lines of a file in its folder; None where there are none."""
        try:
            file = self.beside(base)
            if file is None:
                return None
            with file.opened() as stream:
                lines = [line.strip() for line in stream.read(_MOST_TEXT_BYTES).splitlines()]
        except (OSError, DamagedError):
            return None
        return [text_of(line) for line in lines if line] or None


def parts_of(files: Iterable[ArrayFile]) -> tuple[tuple[Part, ...], list[int]]:
    """The files on the disk in which files lie, and for each the number of its own."""
    numbers: dict[Part, int] = {}
    own = [numbers.setdefault(file.part, len(numbers)) for file in files]
    return tuple(numbers), own


@contextmanager
def opened_in(part: Part, inside: Archived | None) -> Iterator[Stream]:
    """What a file on the disk holds, or one in an archive, decompressed. Raises OSError,
    `DamagedError`, and `InputError` where the archive has no such file any longer."""
    if inside is None:
        with open_stream(part.path) as stream:
            yield stream
        return
    with closing(_walk(part).all_files(part)) as walk:
        for file in walk:
            if file.number == inside.number:
                yield _content(file)
                return
    raise InputError(
        f"{part.shown} is another archive than it was",
        hint="wait until nothing writes to it, then run the command again",
    )


@contextmanager
def opened_at_random_in(part: Part, inside: Archived | None) -> Iterator[IO[bytes]]:
    """As `opened_in`, as a file that can be sought in: of a plain tar it is read where it lies,
    else it is copied to the local disk meanwhile. Raises `DoesNotFitError`, too."""
    with ExitStack() as files:
        with opened_in(part, inside) as stream:
            of = f"a file in {part.shown}" if inside is not None else part.shown
            file = files.enter_context(seekable(stream, part, of=of))
        yield file


def _walk(part: Part) -> ArchiveWalk:
    return ArchiveWalk(opens_zips=is_zip_file(part.path))


def _content(file: ArchivedFile) -> Stream:
    """What a file in an archive holds: as it lies there, or decompressed."""
    stream = Stretch(file.stream, file.size)
    head = stream.peek(8)
    compression = compression_of(head)
    if compression is None:
        return stream
    return decompressed(stream, size=file.size, compression=compression)


@dataclass(frozen=True)
class HeadedFile:
    """A file of a folder or an archive, and the first bytes of what it holds; `damage` says why
    these can't be read."""

    file: ArrayFile
    head: bytes
    damage: str = ""


@dataclass(frozen=True)
class Files:
    """The files of a folder or an archive, none of which is an image by its name.

    Attributes:
      damage: of the archive: what lies behind it is not known.
    """

    files: tuple[HeadedFile, ...]
    damage: tuple[str, ...] = ()


def files_of_folder(folder: str) -> Files | None:
    """The files of a folder, those of the folders in it included; None for one that holds images,
    archives, what vitctl made, or many files."""
    paths: list[bytes] = []
    roots: set[bytes] = set()
    try:
        # Links to folders are followed, as in a folder of images, each folder once.
        for root, folders, names in os.walk(os.fsencode(folder), onerror=_raised, followlinks=True):
            real = os.path.realpath(root)
            if real in roots:
                return None
            roots.add(real)
            folders[:] = sorted(name for name in folders if folder_kind(os.fsdecode(name)) is None)
            for name in sorted(names):
                if name.startswith(b"."):
                    continue
                path = os.path.join(root, name)
                if _rules_out(name) or not os.path.isfile(path):
                    return None
                paths.append(path)
            if len(paths) + len(roots) + len(folders) > _MOST_FILES:
                return None
        files = [ArrayFile.on_disk(path) for path in paths]
    except OSError:
        return None
    return Files(tuple(_headed(file) for file in files))


def _raised(error: OSError) -> None:
    raise error


def _headed(file: ArrayFile) -> HeadedFile:
    try:
        return HeadedFile(file, file.head())
    except DamagedError as error:
        return HeadedFile(file, b"", error.reason)
    except OSError as error:
        return HeadedFile(file, b"", error.strerror or str(error))
    except InputError as error:
        return HeadedFile(file, b"", str(error))


def files_of_archive(path: bytes) -> Files | None:
    """The files of a tar or a zip, as `files_of_folder`."""
    part = Part.of(path)
    files: list[HeadedFile] = []
    archive: dict[bytes, ArrayFile] = {}
    try:
        if is_zip_file(path) and _holds_archives(part):
            return None
        walk = _walk(part)
        with closing(walk.all_files(part)) as members:
            for number, member in enumerate(members):
                base = os.path.basename(member.name)
                folders = os.fsdecode(os.path.dirname(member.name)).split("/")
                if base.startswith(b".") or any(map(folder_kind, folders)):
                    continue
                if _rules_out(base) or number >= _MOST_FILES:
                    return None
                own = ArrayFile(part, member.name, member.size, Archived(member.number), archive)
                try:
                    files.append(HeadedFile(own, _content(member).read(HEAD_BYTES)))
                except DamagedError as error:
                    files.append(HeadedFile(own, b"", error.reason))
                archive[member.name] = own
    except (InputError, OSError):
        return None
    except DamagedError as error:
        return Files(tuple(files), (f"is damaged at byte {error.at:,} ({error.reason})",))
    return Files(tuple(files), tuple(walk.damage))


def without_twins(
    files: Iterable[ArrayFile],
) -> tuple[list[ArrayFile], list[tuple[ArrayFile, ArrayFile]]]:
    """Files without those that hold the same as another one of nearly its name, compressed or not,
    and each of these with that other: Kaggle's MNIST has `train-images.idx3-ubyte` also in a
    folder, torchvision's unpacks it beside `.gz`. Raises OSError, and `InputError` where one is
    damaged, or two of a name hold different things."""
    groups: dict[str, list[ArrayFile]] = {}
    for file in files:
        groups.setdefault(_plain_name(file), []).append(file)
    single: list[ArrayFile] = []
    twice: list[tuple[ArrayFile, ArrayFile]] = []
    for group in groups.values():
        first, *others = sorted(group, key=_preference)
        single.append(first)
        for other in others:
            if _digest(other) != _digest(first):
                raise InputError(
                    f"{first.shown} and {other.shown} have one name and hold different things: "
                    "they are of two datasets, or one is damaged",
                    hint="give the folder of one dataset, or move the other file away",
                )
            twice.append((other, first))
    return sorted(single, key=lambda file: file.name), twice


def _plain_name(file: ArrayFile) -> str:
    return re.sub(r"[\W_]", "", file.base.lower().removesuffix(".gz"))


def _preference(file: ArrayFile) -> tuple[bool, int, bytes]:
    """What comes first is read: what is not compressed, and what lies at the top."""
    return (file.base.lower().endswith(".gz"), file.name.count(b"/"), file.name)


def _digest(file: ArrayFile) -> bytes:
    digest = hashlib.sha256()
    try:
        with file.opened() as stream:
            while piece := stream.read(_PIECE_BYTES):
                digest.update(piece)
    except DamagedError as error:
        raise InputError(f"{file.shown} can't be read {error}", hint="download it again") from None
    return digest.digest()


def _holds_archives(part: Part) -> bool:
    """Whether archives lie in a zip: these would have to be copied to the disk to be looked at."""
    with open(part.path, "rb", buffering=0) as file:
        members = zip_members.members(partial(os.pread, file.fileno()), part.size)
        return any(is_archive_name(member.name) for member in members)


def _rules_out(base: bytes) -> bool:
    """Whether the name of a file says that its folder is none of arrays."""
    ending = os.path.splitext(os.fsdecode(base))[1].lower()
    return ending in IMAGE_ENDINGS or is_archive_name(base) or own_output.may_be_mark(base)
