"""A path of objects: the part of `pathlib.Path`'s face that an object store can honour.

`__fspath__` is left out on purpose: what needs a real file (a library, a rename, a lock) raises a
TypeError here instead of making a local folder called `s3:`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from vitctl.places import buckets
from vitctl.places.address import Address

# `memory` lives as long as the process: for tests, and for trying things.
SCHEMES = ("gs", "s3", "memory")


class Stat(NamedTuple):
    """The fields of `os.stat_result` that an object has."""

    st_size: int
    st_mtime_ns: int


class ObjectPath(Address):
    """`scheme://bucket/part/part`, and what the store says of it. Making one asks for nothing."""

    def absolute(self) -> ObjectPath:
        return self

    def resolve(self) -> ObjectPath:
        return self

    # Asking

    def is_file(self) -> bool:
        return buckets.is_object(self)

    def is_dir(self) -> bool:
        """Whether there is any object below: there are no empty folders."""
        return self.kind == "directory" if self.kind else buckets.has_objects(self)

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()

    def stat(self) -> Stat:
        """Raises FileNotFoundError where there is no such object."""
        found = buckets.look_up(self)
        return Stat(found.size, found.modified_ns)

    def iterdir(self) -> Iterator[ObjectPath]:
        """What is directly below; nothing below an empty folder or none, which are the same."""
        for name, kind in buckets.children(self):
            yield replace(self / name, kind=kind)

    def read_bytes(self) -> bytes:
        return buckets.read(self)

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self.read_bytes().decode(encoding, errors)

    # Changing

    def write_bytes(self, content: bytes) -> None:
        buckets.write(self, content)

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: folders come and go with the objects in them."""

    def unlink(self, missing_ok: bool = False) -> None:
        if not missing_ok and not self.is_file():
            raise buckets.no_such_object(self)
        buckets.remove([self])
