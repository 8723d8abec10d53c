"""The name of an object or a folder in an object store, and of its neighbours: text alone, as
`based_path` is of files. Nothing here asks a store."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Literal, Self

from vitctl.errors import UsageError

# `memory` lives as long as the process: for tests, and for trying things.
SCHEMES = ("gs", "s3", "memory")

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)


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

    @classmethod
    def parsed(cls, text: str) -> Self | None:
        """What a URL names; None for what is no URL.

        Raises UsageError for one that is not of a store we know, or names no bucket.
        """
        url = _URL.fullmatch(text)
        if url is None:
            return None
        scheme, rest = url[1], url[2]
        if scheme not in SCHEMES:
            raise UsageError(
                f"{text}: there is no store at {scheme}://",
                hint="artifacts lie in a folder, or at gs://BUCKET/PATH or s3://BUCKET/PATH",
            )
        parts = [part for part in rest.split("/") if part not in ("", ".")]
        if not parts:
            raise UsageError(f"{text} names no bucket", hint=f"write {scheme}://BUCKET/PATH")
        if ".." in parts:
            raise UsageError(f"{text} has '..' in it, which means nothing in a bucket")
        return cls(scheme, "/".join(parts))

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

    def below(self, other: Address) -> str | None:
        """What to add to `other` to get here; None if this lies elsewhere."""
        return self.key[len(other.key) :].strip("/") if self.is_relative_to(other) else None
