"""A path that knows below which folder it lies: text alone, as `address` is of objects.

What is written, replaced or removed below that folder (a store, `--out`, a cache) never goes
through a symbolic link: `vitctl.places.nofollow` follows links only on the way to the base, which
are its owner's own (a store on another disk, /tmp on macOS).
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Generator
from pathlib import Path, PosixPath
from typing import Any, Self

TEMPORARY = ".tmp-"
"""How names of files begin that are being written: never part of what is published."""


def temporary_name(name: str) -> str:
    """A name that nobody else writes to, for the content of `name` until it is whole. By chance: a
    process id is shared by all threads, and by processes on other hosts of a shared disk."""
    return f"{TEMPORARY}{name}.{secrets.token_hex(8)}"


def becomes(name: str) -> str | None:
    """What a file of a `temporary_name` is to become; None where `name` is no such name. Earlier
    versions ended it with a process id."""
    stem, _, ending = name.rpartition(".")
    is_ours = stem.startswith(TEMPORARY) and re.fullmatch(r"[0-9a-f]+", ending)
    return stem.removeprefix(TEMPORARY) if is_ours else None


def is_text(path: str) -> bool:
    """Whether a path can be written as UTF-8; not every library takes one that cannot."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


class BasedPath(PosixPath):
    """A `pathlib.Path` with a `base`; paths made from it below the base keep that base.

    Only the public methods of `Path` are extended, as its inner ones differ between versions of
    Python. One made in another way has no base, and nothing can be changed by it.
    """

    base: str | None = None

    def __truediv__(self, other: str | os.PathLike[str]) -> Self:
        return self._derived(super().__truediv__(other))

    def joinpath(self, *others: str | os.PathLike[str]) -> Self:
        return self._derived(super().joinpath(*others))

    @property
    def parent(self) -> Self:
        """Above the base it is a base itself."""
        return self._derived(super().parent)

    def with_name(self, name: str) -> Self:
        return self._derived(super().with_name(name))

    def with_suffix(self, suffix: str) -> Self:
        return self._derived(super().with_suffix(suffix))

    def iterdir(self) -> Generator[Self]:
        for path in super().iterdir():
            yield self._derived(path)

    # Later versions of Python have options that earlier ones don't know, and pass them on inside.
    def glob(self, pattern: str, **options: Any) -> Generator[Self]:
        for path in super().glob(pattern, **options):
            yield self._derived(path)

    def rglob(self, pattern: str, **options: Any) -> Generator[Self]:
        for path in super().rglob(pattern, **options):
            yield self._derived(path)

    def absolute(self) -> Self:
        base = None if self.base is None else str(Path(self.base).absolute())
        return self._with_base(Path(self).absolute(), base)

    def resolve(self, strict: bool = False) -> Self:
        """The path without links, which is a base of its own: whoever asks for it has followed
        them already."""
        return self._with_base(os.path.realpath(self, strict=strict), None)

    def based(self) -> Self:
        """The same path as a base of its own: links on the way to it are its owner's."""
        return self._with_base(self, None)

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (type(self), str(self), self.base)

    def _derived(self, path: Path) -> Self:
        made = path if type(path) is type(self) else type(self)(path)
        made.base = self.base if _is_within(str(made), self.base) else str(made)
        return made

    def _with_base(self, path: str | os.PathLike[str], base: str | None) -> Self:
        made = type(self)(path)
        made.base = str(made) if base is None else base
        return made


def _restored(kind: type[BasedPath], path: str, base: str | None) -> BasedPath:
    made = kind(path)
    made.base = base
    return made


def _is_within(path: str, base: str | None) -> bool:
    if base is None or path == base:
        return True
    if base == ".":
        return not path.startswith("/")
    return path.startswith(base if base.endswith("/") else f"{base}/")
