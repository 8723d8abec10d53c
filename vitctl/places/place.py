"""A path or URL as a user writes it -> the place that it names."""

from __future__ import annotations

from pathlib import Path

from vitctl.places.home import expanded
from vitctl.places.local import LocalPath, based
from vitctl.places.objects import ObjectPath

Place = LocalPath | ObjectPath


def place(text: Place | Path | str) -> Place:
    """A URL as an `ObjectPath`, anything else as a path that is a base of its own, `~/` expanded.

    Raises UsageError for a URL that is not of a store we know, or names no bucket.
    """
    if isinstance(text, ObjectPath | LocalPath):
        return text
    if isinstance(text, Path):
        return based(text)
    return ObjectPath.parsed(text) or based(expanded(text))
