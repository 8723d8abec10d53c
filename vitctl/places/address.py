"""The name of an object or a folder in an object store, and of its neighbours: text alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Literal, Self


@dataclass(frozen=True, order=True)
class Address:
    """`scheme://bucket/part/part`. Making one asks for nothing.

    Attributes:
      scheme: `gs`, `s3` or `memory`.
      key: bucket and parts, joined by slashes.
      kind: what the listing said that it came from, as in `os.DirEntry`.
    """

    scheme: str
    key: str
    kind: Literal["file", "directory"] | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.key}"

    def __truediv__(self, other: str) -> Self:
        return replace(self, key=f"{self.key}/{other}", kind=None)

    @property
    def bucket(self) -> str:
        return self.key.partition("/")[0]

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> Self:
        """One part less; a bucket is its own parent."""
        return replace(self, key=self.key.rpartition("/")[0] or self.key, kind=None)

    def is_relative_to(self, other: Address) -> bool:
        """Whether this is `other` or lies below it."""
        return self.scheme == other.scheme and f"{self.key}/".startswith(f"{other.key}/")
