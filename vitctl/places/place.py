"""What a person writes -> where that is."""

from __future__ import annotations

import re
from pathlib import Path

from vitctl.errors import UsageError
from vitctl.places.local import LocalPath, based
from vitctl.places.objects import SCHEMES, ObjectPath

Place = Path | ObjectPath

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)


def children(folder: Place) -> list[Place]:
    """What is directly in a folder, sorted. Raises FileNotFoundError and NotADirectoryError where
    there is no such folder on a disk; in a bucket that is an empty one."""
    if isinstance(folder, ObjectPath):
        return list(folder.iterdir())
    return [*sorted(folder.iterdir())]


def inside(path: Place, root: Place) -> str | None:
    """What to add to `root` to get to `path`; None if it lies elsewhere."""
    if isinstance(path, ObjectPath):
        if not (isinstance(root, ObjectPath) and path.is_relative_to(root)):
            return None
        return path.key[len(root.key) :].strip("/")
    if isinstance(root, ObjectPath) or not path.is_relative_to(root):
        return None
    return str(path.relative_to(root))


def place(text: Place | str) -> Place:
    """A URL as an `ObjectPath`, anything else as a path that is a base of its own.

    Raises UsageError for a URL that is not of a store we know, or names no bucket.
    """
    if isinstance(text, ObjectPath | LocalPath):
        return text
    if isinstance(text, Path):
        return based(text)
    url = _URL.fullmatch(text)
    if url is None:
        return based(text)
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
    return ObjectPath(scheme, "/".join(parts))
