"""What a source holds: its images, by name, size and time, listed without opening one."""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

from vitctl.artifacts.canonical import fingerprint as canonical_fingerprint
from vitctl.data.classes import sort_classes
from vitctl.data.dataset import Split
from vitctl.errors import InputError
from vitctl.ingest.file_kinds import HEAD_BYTES
from vitctl.ingest.folder_layout import LayoutName

Look = Callable[[bytes, int], None]
"""Is shown the first `HEAD_BYTES` of a file and its size, before the rest is read."""

_PIECE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Entry:
    """One file that should be an image."""

    id: str
    """Stable and unique: its path below the source, as text."""
    class_names: tuple[str, ...]
    """Its labels; one, unless a label file says otherwise."""
    split: Split | None
    """None: the source doesn't say."""
    path: bytes | None
    """Where to read it; None if `data` holds it."""
    size: int
    mtime_ns: int
    data: bytes | None = None

    def read(self, *, look: Look | None = None) -> bytes:
        """Its bytes. `look` sees its beginning and its size first, and may raise.

        Raises `InputError` if it is no longer the file that was listed, OSError if it can't be
        read.
        """
        if self.data is not None:
            if look is not None:
                look(self.data[:HEAD_BYTES], len(self.data))
            return self.data
        with self._opened() as file:
            if look is not None:
                look(os.pread(file.fileno(), HEAD_BYTES, 0), self.size)
            return file.read()

    def pieces(self) -> Iterator[bytes]:
        """Its bytes, a part at a time; otherwise like `read`."""
        if self.data is not None:
            yield self.data
            return
        with self._opened() as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece

    @contextmanager
    def _opened(self) -> Iterator[io.FileIO]:
        assert self.path is not None
        with open(self.path, "rb", buffering=0) as file:
            self._check_unchanged(os.fstat(file.fileno()))
            yield file
            self._check_unchanged(os.fstat(file.fileno()))

    def _check_unchanged(self, info: os.stat_result) -> None:
        if (info.st_size, info.st_mtime_ns) != (self.size, self.mtime_ns):
            raise InputError(
                f"{self.id} changed while it was read",
                hint="wait until nothing writes to the source, then run the command again",
            )


@dataclass(frozen=True)
class Listing:
    """All entries of a source, sorted by id, and what else was seen."""

    root: str
    """How to name the source to a person."""
    entries: list[Entry]
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
    united: tuple[str, ...] = ()
    """Classes whose folders were spelled in two ways of Unicode."""
    unmatched: tuple[str, ...] = ()
    """What was to be left out and is not there."""

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over the sorted (id, size, mtime_ns), or with `by_contents` (id, sha256)."""
        return self.fingerprint_of(contents=self.by_contents)

    def fingerprint_of(self, *, contents: bool) -> str:
        """sha256 over the sorted (id, size, mtime_ns), with `contents` over (id, sha256 of bytes);
        and over the classes that were united, which no file shows."""
        proof = fingerprint(self.entries, contents=contents)
        return canonical_fingerprint([proof, list(self.united)]) if self.united else proof

    @property
    def classes(self) -> list[str]:
        return sort_classes(list({name for entry in self.entries for name in entry.class_names}))

    def only(self, classes: set[str]) -> Listing:
        """The images whose labels are all among these, with a fingerprint of their own."""
        entries = [entry for entry in self.entries if classes.issuperset(entry.class_names)]
        united = tuple(name for name in self.united if name in classes)
        return replace(self, entries=entries, empty_classes=[], united=united)

    def without(self, classes: Collection[str], *, ids: Collection[str] = ()) -> Listing:
        """All images but those with a label among `classes` and those named by `ids`."""
        classes, ids = set(classes), set(ids)
        entries = [
            entry
            for entry in self.entries
            if classes.isdisjoint(entry.class_names) and entry.id not in ids
        ]
        left = [name for name in self.empty_classes if name not in classes]
        united = tuple(name for name in self.united if name not in classes)
        return replace(self, entries=entries, empty_classes=left, united=united)


def fingerprint(entries: list[Entry], *, contents: bool = False) -> str:
    """sha256 over the sorted (id, size, mtime_ns), with `contents` over (id, sha256 of bytes)."""
    digest = hashlib.sha256()
    for entry in sorted(entries, key=lambda entry: entry.id):
        proof = _content_proof(entry) if contents else f"{entry.size} {entry.mtime_ns}"
        # Ids hold no control characters, so a line is unambiguous.
        digest.update(f"{entry.id}\n{proof}\n".encode())
    return digest.hexdigest()


def _content_proof(entry: Entry) -> str:
    digest = hashlib.sha256()
    try:
        for piece in entry.pieces():
            digest.update(piece)
        return digest.hexdigest()
    except OSError:
        return "unreadable"  # it will be rejected
