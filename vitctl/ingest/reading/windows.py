"""Images that lie as they are in larger files, read at random where they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from vitctl.ingest.columns import Entry
from vitctl.ingest.listing import Access
from vitctl.ingest.parts import Part


@dataclass(frozen=True)
class InParts:
    """Images whose bytes lie in larger files as they are, from `Entry.offset` on."""

    parts: tuple[Part, ...]
    access: Access = "random"

    @contextmanager
    def reader(self) -> Iterator[_WindowReader]:
        with ExitStack() as files:
            yield _WindowReader(self.parts, files)


@dataclass
class _WindowReader:
    parts: tuple[Part, ...]
    files: ExitStack
    opened: dict[int, int] = field(default_factory=dict)

    @contextmanager
    def open(self, entry: Entry) -> Iterator[Window]:
        if entry.part not in self.opened:
            descriptor = os.open(self.parts[entry.part].path, os.O_RDONLY | os.O_CLOEXEC)
            self.files.callback(os.close, descriptor)
            self.opened[entry.part] = descriptor
        descriptor = self.opened[entry.part]
        self.parts[entry.part].check_unchanged(os.fstat(descriptor))
        yield Window(descriptor, entry.offset, entry.size)
        self.parts[entry.part].check_unchanged(os.fstat(descriptor))


@contextmanager
def opened_window(part: Part, offset: int, size: int) -> Iterator[Any]:
    """A stretch of a file, to be read from its beginning."""
    with open(part.path, "rb", buffering=0) as file:
        part.check_unchanged(os.fstat(file.fileno()))
        yield Window(file.fileno(), offset, size)


class Window:
    """A stretch of an open file, read from its beginning."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        self._descriptor, self._at, self._end = descriptor, offset, offset + size

    def read(self, size: int = -1, /) -> bytes:
        left = self._end - self._at
        data = os.pread(self._descriptor, left if size < 0 else min(size, left), self._at)
        self._at += len(data)
        return data
