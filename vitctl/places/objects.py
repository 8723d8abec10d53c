"""A place in a bucket: the methods of `pathlib.Path` that an object store can honour, and what
the store answers.

`__fspath__` is left out on purpose: what needs a real file (a library, a rename, a lock) raises a
TypeError here instead of making a local folder called `s3:`.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import BinaryIO, Literal, NamedTuple, TypeVar

from vitctl.places import buckets
from vitctl.places.address import Address
from vitctl.places.background_writes import write_behind, write_now
from vitctl.places.contract import PlaceContract

T = TypeVar("T")
R = TypeVar("R")


class Stat(NamedTuple):
    """The fields of `os.stat_result` that an object has."""

    st_size: int
    st_mtime_ns: int


class ObjectPath(Address, PlaceContract):
    """`scheme://bucket/part/part`, and what the store says of it. Making one asks for nothing."""

    @property
    def local(self) -> None:
        return None

    @property
    def remote(self) -> ObjectPath:
        return self

    def absolute(self) -> ObjectPath:
        return self

    def resolve(self) -> ObjectPath:
        return self

    def based(self) -> ObjectPath:
        return self

    def inside(self, root: PlaceContract) -> str | None:
        return self.below(root) if isinstance(root, ObjectPath) else None

    # Looking

    def is_file(self) -> bool:
        return buckets.is_object(self)

    def is_dir(self) -> bool:
        """Whether there is any object below: there are no empty folders."""
        return self.kind == "directory" if self.kind else buckets.has_objects(self)

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()

    def stat(self) -> Stat:
        """Raises FileNotFoundError where there is no such object."""
        listed = buckets.look_up(self)
        return Stat(listed.size, listed.modified_ns)

    def iterdir(self) -> Iterator[ObjectPath]:
        """What is directly below; nothing below an empty folder or none, which are the same."""
        for name, kind in buckets.children(self):
            yield replace(self / name, kind=kind)

    def open(self, mode: Literal["rb"] = "rb") -> BinaryIO:
        """To read, from memory: for small ones."""
        return io.BytesIO(self.read_bytes())

    def read_bytes(self) -> bytes:
        return buckets.read(self)

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self.read_bytes().decode(encoding, errors)

    def children(self) -> list[ObjectPath]:
        return list(self.iterdir())

    def files_below(self, *, refuse_links: bool = False) -> list[str]:
        return list(buckets.below(self))

    def sizes(self, names: Iterable[str]) -> Iterator[int | OSError]:
        """By one listing of all."""
        listed = buckets.below(self)
        for name in names:
            if name in listed:
                yield listed[name].size
            else:
                yield FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)

    def free_bytes(self) -> None:
        return None

    def blocks(self, *, sync: bool = False) -> Iterator[bytes]:
        return buckets.blocks(self)

    def read_part(self, begin: int, end: int) -> bytes:
        return buckets.read_part(self, begin, end)

    def read_itself(self) -> bytes:
        return self.read_bytes()

    def links(self) -> list[str]:
        return []

    def refuse_link(self) -> None:
        pass

    @property
    def is_read_only(self) -> bool:
        return False

    def stands_in_the_way(self) -> None:
        return None

    def each(
        self, function: Callable[[T], R], items: Iterable[T], *, reads: bool = False
    ) -> list[R]:
        return buckets.concurrently(function, items)

    # Changing

    def write_atomic(self, content: bytes) -> None:
        write_now(self, content)

    def write_new(self, content: bytes) -> None:
        buckets.write(self, content, new=True)

    def write_behind(self, content: bytes) -> None:
        write_behind(self, content)

    def write_bytes(self, content: bytes) -> None:
        buckets.write(self, content)

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: folders come and go with the objects in them."""

    def unlink(self, missing_ok: bool = False) -> None:
        self.remove(missing_ok=missing_ok)

    def remove(self, *, missing_ok: bool = False) -> None:
        if not missing_ok and not self.is_file():
            raise buckets.no_such_object(self)
        buckets.remove([self])

    def remove_tree(self, *, ignore_errors: bool = False) -> None:
        buckets.remove(self / name for name in buckets.below(self))

    def remove_if_empty(self) -> None:
        pass

    def make_folder(self) -> None:
        pass

    def sync(self) -> None:
        pass
