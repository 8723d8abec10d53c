"""What every source of images is: a listing in columns, and a reader of the bytes of each image.

    listing = list_folder(root)                    names, sizes, times, labels; nothing is opened
    with listing.source.reader() as reader:        in each worker, one of its own
        data = read(reader, listing.entries[0])

A source is small, immutable and picklable. It says how its images can be read: at random (files, a
tar, a zip), or only in the order of `Entry.part` and `Entry.offset` (what is compressed as a
whole); `spool.py` makes the second the first.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from vitctl.artifacts import Artifact
from vitctl.artifacts.canonical import fingerprint as canonical_fingerprint
from vitctl.data.classes import sort_classes
from vitctl.ingest.columns import Entries, Entry
from vitctl.ingest.folder_layout import LayoutName
from vitctl.ingest.parts import DamagedError, Part
from vitctl.pixels.file_kinds import HEAD_BYTES
from vitctl.pixels.header import BadImageError

Look = Callable[[bytes, int], None]
"""Is shown the first `HEAD_BYTES` of a file and its size, before the rest is read."""
Access = Literal["random", "in order"]

_PIECE_BYTES = 2**20


class Bytes(Protocol):
    """The bytes of one image; a file object."""

    def read(self, size: int = -1, /) -> bytes | None: ...


class Reader(Protocol):
    """Opens images of one source; used by one worker at a time."""

    def open(self, entry: Entry) -> AbstractContextManager[Bytes]:
        """The bytes of an image. Raises `InputError` if it is no longer what was listed, OSError
        or `BadImageError` if it can't be read."""
        ...


class Source(Protocol):
    """Where the images of a listing are."""

    @property
    def access(self) -> Access: ...

    def reader(self) -> AbstractContextManager[Reader]: ...


def read(reader: Reader, entry: Entry, *, look: Look | None = None) -> bytes:
    """The bytes of an image. `look` sees its beginning and its size first, and may raise."""
    with reader.open(entry) as file:
        head = _exactly(file, min(HEAD_BYTES, entry.size))
        if look is not None:
            look(head, entry.size)
        return head + _exactly(file, entry.size - len(head))


def pieces(reader: Reader, entry: Entry) -> Iterator[bytes]:
    """The bytes of an image, a part at a time; otherwise like `read`."""
    with reader.open(entry) as file:
        left = entry.size
        while left and (piece := file.read(min(left, _PIECE_BYTES))):
            left -= len(piece)
            yield piece


def _exactly(file: Bytes, size: int) -> bytes:
    """So many bytes, fewer only where the file ends; never more, whatever lies behind them."""
    data = file.read(size) or b""
    while len(data) < size and (more := file.read(size - len(data))):
        data += more
    return data


@dataclass(frozen=True)
class Listing:
    """All images of a source, sorted by id, and what else was seen."""

    root: str
    """How to name the source to a person."""
    source: Source
    entries: Entries
    names: Sequence[str]
    """The class of each label; classes without an image, too."""
    by_contents: bool = False
    """Whether the fingerprint reads the images: the built-in ones have no file times."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Why files were left alone -> how many."""
    empty_classes: list[str] = field(default_factory=list)
    """Class folders without a single image."""
    reading: str = ""
    """One sentence: what its folders were taken for."""
    layout: LayoutName | None = None
    """What they were taken for, where the first version of `vitctl shard` took them for something
    else: what two readings of the same files make must have two ids."""
    inside: str | None = None
    """The one folder that all images lie in, where the folders in it may be the classes."""
    united: tuple[str, ...] = ()
    """Classes whose folders were spelled in two ways of Unicode."""
    unmatched: tuple[str, ...] = ()
    """What was to be left out and is not there."""
    declared: bool = False
    """Whether labels and splits are not those of the paths; then they are in the fingerprint."""
    parts: tuple[Part, ...] = ()
    """The files that hold the images, where they hold many: if these are as they were, all is."""
    cautions: tuple[str, ...] = ()
    """What was wrong with them, a sentence each."""
    notes: tuple[str, ...] = ()
    """What else a user may want to know of them, a sentence each."""
    several_labels: bool = False
    """Whether labels were given so that an image may have none or several."""
    titles: Mapping[str, str] = field(default_factory=dict)
    """Readable names of classes, where the source itself gives them."""
    title_files: Mapping[str, bytes] = field(default_factory=dict)
    """Contents of files in an archive that may give classes readable names."""
    artifact: Artifact | None = None
    """The dataset that the images are of, if they are of one."""

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over the sorted (id, size, mtime_ns), or with `by_contents` (id, sha256)."""
        return self.fingerprint_of(contents=self.by_contents)

    def fingerprint_of(self, *, contents: bool) -> str:
        """sha256 over the sorted (id, size, mtime_ns), with `contents` over (id, sha256 of bytes);
        and over the classes that were united, which no file shows."""
        digest = hashlib.sha256()
        # Ids hold no control characters, so a line is unambiguous.
        for line in self._contents() if contents else self._times():
            digest.update(line)
        if self.declared:
            for entry in self.entries:
                digest.update(repr((entry.split, self.class_names(entry))).encode())
        if self.artifact is not None:  # records have no times
            digest.update(self.artifact.digest.encode())
        proof = digest.hexdigest()
        return canonical_fingerprint([proof, list(self.united)]) if self.united else proof

    def _times(self) -> Iterator[bytes]:
        entries = self.entries
        columns = zip(entries.ids, entries.sizes.data, entries.mtimes_ns.data, strict=True)
        for id_, size, mtime_ns in columns:
            yield b"%b\n%d %d\n" % (id_, size, mtime_ns)

    def _contents(self) -> Iterator[bytes]:
        proofs = [""] * len(self.entries)
        with self.source.reader() as reader:
            for row in self.entries.in_reading_order():
                proofs[row] = _content_proof(reader, self.entries[row])
        for id_, proof in zip(self.entries.ids, proofs, strict=True):
            yield b"%b\n%b\n" % (id_, proof.encode())

    @property
    def classes(self) -> list[str]:
        """Those that have an image, in the order of their numbers."""
        return sort_classes([self.names[label] for label in np.unique(self.entries.labels)])

    @property
    def multi_label(self) -> bool:
        """Whether the source itself gives an image none or several labels, or could."""
        return self.several_labels or (
            self.declared and bool((self.entries.label_counts != 1).any())
        )

    def class_names(self, entry: Entry) -> tuple[str, ...]:
        return tuple(self.names[label] for label in entry.labels)

    def only(self, classes: Iterable[str]) -> Listing:
        """The images whose labels are all among these, with a fingerprint of their own."""
        classes = frozenset(classes)
        mask = self.entries.have(self._marked(classes), all_of_them=True)
        united = tuple(name for name in self.united if name in classes)
        return replace(self, entries=self.entries.where(mask), empty_classes=[], united=united)

    def without(self, classes: Iterable[str], *, ids: Iterable[str] = ()) -> Listing:
        """All images but those with a label among `classes` and those named by `ids`."""
        classes = frozenset(classes)
        ids = frozenset(ids)
        mask = ~self.entries.have(self._marked(classes))
        if ids:
            wanted = {name.encode("utf-8", "surrogatepass") for name in ids}
            mask &= np.fromiter(
                (id_ not in wanted for id_ in self.entries.ids), bool, len(self.entries)
            )
        left = [name for name in self.empty_classes if name not in classes]
        united = tuple(name for name in self.united if name not in classes)
        return replace(self, entries=self.entries.where(mask), empty_classes=left, united=united)

    def _marked(self, classes: frozenset[str]) -> NDArray[np.bool_]:
        return np.fromiter((name in classes for name in self.names), bool, len(self.names))


def _content_proof(reader: Reader, entry: Entry) -> str:
    digest = hashlib.sha256()
    try:
        for piece in pieces(reader, entry):
            digest.update(piece)
        return digest.hexdigest()
    except (OSError, BadImageError, DamagedError):
        return "unreadable"  # it will be rejected
