"""A path on this machine that knows below which folder it lies.

What is written, replaced or removed below that folder (a store, `--out`, a cache) never goes
through a symbolic link: `vitctl.places.nofollow` follows links only on the way to the base, which
are its owner's own (a store on another disk, /tmp on macOS).
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path, PosixPath
from typing import Any

TEMPORARY = ".tmp-"
"""How names of files begin that are being written: never part of what is published."""


class LocalPath(PosixPath):
    """A `pathlib.Path` with a `base`; paths made from it below the base keep that base.

    Only the public methods of `Path` are extended, as its inner ones differ between versions of
    Python. One made in another way has no base, and nothing can be changed by it.
    """

    base: str | None = None

    def __truediv__(self, other: str | os.PathLike[str]) -> LocalPath:
        return self._derived(super().__truediv__(other))

    def joinpath(self, *others: str | os.PathLike[str]) -> LocalPath:
        return self._derived(super().joinpath(*others))

    @property
    def parent(self) -> LocalPath:
        """Above the base it is a base itself."""
        return self._derived(super().parent)

    def with_name(self, name: str) -> LocalPath:
        return self._derived(super().with_name(name))

    def with_suffix(self, suffix: str) -> LocalPath:
        return self._derived(super().with_suffix(suffix))

    def iterdir(self) -> Generator[LocalPath]:
        for path in super().iterdir():
            yield self._derived(path)

    # Later versions of Python have options that earlier ones don't know, and pass them on inside.
    def glob(self, pattern: str, **options: Any) -> Generator[LocalPath]:
        for path in super().glob(pattern, **options):
            yield self._derived(path)

    def rglob(self, pattern: str, **options: Any) -> Generator[LocalPath]:
        for path in super().rglob(pattern, **options):
            yield self._derived(path)

    def absolute(self) -> LocalPath:
        return based(Path(self).absolute(), on=None if self.base is None else _absolute(self.base))

    def resolve(self, strict: bool = False) -> LocalPath:
        """The path without links, which is a base of its own: whoever asks for it has followed
        them already."""
        return based(os.path.realpath(self, strict=strict))

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (str(self), self.base)

    def _derived(self, path: Path) -> LocalPath:
        made = path if isinstance(path, LocalPath) else LocalPath(path)
        made.base = self.base if _is_within(str(made), self.base) else str(made)
        return made


def based(path: str | os.PathLike[str], *, on: str | os.PathLike[str] | None = None) -> LocalPath:
    """A path whose base is `on`, or itself."""
    made = LocalPath(path)
    made.base = str(made if on is None else Path(on))
    return made


def _absolute(path: str) -> str:
    return str(Path(path).absolute())


def _restored(path: str, base: str | None) -> LocalPath:
    made = LocalPath(path)
    made.base = base
    return made


def _is_within(path: str, base: str | None) -> bool:
    if base is None or path == base:
        return True
    if base == ".":
        return not path.startswith("/")
    return path.startswith(base if base.endswith("/") else f"{base}/")
