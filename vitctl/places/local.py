"""A place on this machine: a path, and what its disk answers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from vitctl.places import disk, guards, nofollow
from vitctl.places.based_path import BasedPath, temporary_name
from vitctl.places.buckets import concurrently
from vitctl.places.contract import PlaceContract

T = TypeVar("T")
R = TypeVar("R")

_BLOCK = 1 << 20
# A checkpoint is hundreds of small files, and a disk takes as long for eight at a time as for one.
_AT_ONCE = 8


class LocalPath(BasedPath, PlaceContract):
    """A `pathlib.Path` below a base, and what is there; see `PlaceContract`."""

    @property
    def local(self) -> LocalPath:
        return self

    @property
    def remote(self) -> None:
        return None

    def inside(self, root: PlaceContract) -> str | None:
        if not isinstance(root, LocalPath) or not self.is_relative_to(root):
            return None
        return str(self.relative_to(root))

    # Looking

    def children(self) -> list[LocalPath]:
        # As paths are ordered, without comparing their folders each time.
        return sorted(self.iterdir(), key=lambda child: child.name)

    def files_below(self, *, refuse_links: bool = False) -> list[str]:
        names = []
        for relative, kind in nofollow.below(self):
            if refuse_links and kind.is_link:
                raise nofollow.LinkError(self / relative)
            names.append(relative)
        return names

    def sizes(self, names: Iterable[str]) -> Iterator[int | OSError | nofollow.LinkError]:
        return nofollow.sizes(self, names)

    def free_bytes(self) -> int | None:
        folder = Path(self).absolute()
        while not folder.exists():
            folder = folder.parent
        return disk.free_bytes(folder)

    def blocks(self, *, sync: bool = False) -> Iterator[bytes]:
        with nofollow.opened(self, "rb", buffering=0) as file:
            if sync:
                nofollow.sync_opened(file.fileno())
            while block := file.read(_BLOCK):
                yield block

    def read_part(self, begin: int, end: int) -> bytes:
        with nofollow.opened(self, "rb", buffering=0) as file:
            return os.pread(file.fileno(), end - begin, begin)

    def read_itself(self) -> bytes:
        return nofollow.read_plain(self)

    def links(self) -> list[str]:
        return [entry.name for entry in nofollow.listing(self) if entry.is_link]

    def refuse_link(self) -> None:
        nofollow.check(self)

    @property
    def is_read_only(self) -> bool:
        return not os.access(self, os.W_OK)

    def stands_in_the_way(self) -> LocalPath | None:
        for above in (self, *self.parents):
            if os.path.lexists(above) and not above.is_dir():
                return above
        return None

    def each(
        self, function: Callable[[T], R], items: Iterable[T], *, reads: bool = False
    ) -> list[R]:
        return concurrently(function, items, at_once=_AT_ONCE if reads else 1)

    # Changing

    def write_atomic(self, content: bytes) -> None:
        temporary = self.with_name(temporary_name(self.name))
        try:
            with nofollow.opened(temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            guards.check(self)
            nofollow.rename(temporary, self)
        except BaseException as error:
            if isinstance(error, OSError) and error.filename is None:
                error.filename = str(self)  # a failed write doesn't say of what
            with suppress(nofollow.LinkError):  # it is on its way already
                nofollow.remove(temporary, missing_ok=True)
            raise
        nofollow.sync(self.parent)

    def write_new(self, content: bytes) -> None:
        self.write_atomic(content)

    def write_behind(self, content: bytes) -> None:
        self.write_atomic(content)

    def remove(self, *, missing_ok: bool = False) -> None:
        nofollow.remove(self, missing_ok=missing_ok)

    def remove_tree(self, *, ignore_errors: bool = False) -> None:
        guards.check(self)
        nofollow.remove_tree(self, ignore_errors=ignore_errors)

    def remove_if_empty(self) -> None:
        with suppress(OSError):
            nofollow.remove_folder(self)

    def make_folder(self) -> None:
        nofollow.make_folder(self)

    def sync(self) -> None:
        nofollow.sync(self)


def is_there(path: str | os.PathLike[str]) -> bool:
    """Whether something is at a path. Raises PermissionError where this user cannot know, which
    `os.path.exists` takes for "no"."""
    try:
        os.stat(path)
    except PermissionError:
        raise
    except (OSError, ValueError):  # also a name that no file can have
        return False
    return True


def based(path: str | os.PathLike[str]) -> LocalPath:
    """A path that is a base of its own."""
    return LocalPath(Path(path)).based()
