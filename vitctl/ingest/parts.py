"""Larger files that hold images, as archives and tables; nothing is unpacked to disk."""

from __future__ import annotations

import os
from dataclasses import dataclass

from vitctl.data.names import text_of
from vitctl.errors import InputError


class DamagedError(Exception):
    """A file stops making sense.

    Attributes:
      at: the byte where it does, of what the file holds when it is decompressed.
      reason: a clause, as in "the file ends in the middle of an image".
      file: how to name it to a person; None where who catches this knows it.
    """

    file: str | None = None

    def __init__(self, at: int, reason: str) -> None:
        super().__init__(f"at byte {at:,}: {reason}")
        self.at, self.reason = at, reason


@dataclass(frozen=True)
class Part:
    """A file that holds images, as it was when they were listed."""

    path: bytes
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: bytes) -> Part:
        info = os.stat(path)
        return cls(path, info.st_size, info.st_mtime_ns)

    @property
    def shown(self) -> str:
        return text_of(self.path)

    def check_unchanged(self, info: os.stat_result | None = None) -> None:
        """Raise `InputError` if the file is another one by now."""
        try:
            info = os.stat(self.path) if info is None else info
        except FileNotFoundError:
            raise InputError(
                f"{self.shown} vanished while it was read",
                hint="wait until nothing writes to the source, then run the command again",
            ) from None
        if (info.st_size, info.st_mtime_ns) != (self.size, self.mtime_ns):
            raise InputError(
                f"{self.shown} changed while it was read",
                hint="wait until nothing writes to it, then run the command again",
            )
