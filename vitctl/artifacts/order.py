"""The one order of artifacts and runs by age: of `ls`, of `latest`, of several of one name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from vitctl.places import Place


class Age(NamedTuple):
    """Sorts from the oldest to the newest; no two of a store are equal.

    Attributes:
      finished: ISO time, to the second, that a manifest records; file times of a copy differ.
      changed_ns: the file time of that manifest, which decides within one second.
      path: decides where both are equal.
    """

    finished: str
    changed_ns: int
    path: str

    @classmethod
    def of(cls, path: Place, *, finished: str, changed_ns: int = 0) -> Age:
        return cls(finished, changed_ns, str(path))

    @classmethod
    def by_file(cls, path: Place, *, changed_ns: int) -> Age:
        """Of what says no time itself."""
        moment = datetime.fromtimestamp(changed_ns / 1e9, UTC)
        return cls(moment.isoformat(timespec="seconds"), changed_ns, str(path))
