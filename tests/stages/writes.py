"""Which module writes: Python tells of each file that is opened to write, made, renamed or removed
(audit events), and the stack tells who asked for it.

A store may hold links, so only `vitctl.places.nofollow` may write in it. C++ below orbax,
tensorstore and ArrayRecord tells nothing; what such libraries do in Python is in `ALLOWED`.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
NOFOLLOW = "vitctl.places.nofollow"


class Allowed(NamedTuple):
    """A library that writes in a store by its own Python: where, and on whose behalf ("" is a
    thread of the library, in which nobody else is on the stack)."""

    library: str
    module: str
    where: str
    reason: str


ALLOWED = (
    Allowed(
        "etils",
        "",
        r"/checkpoints/\d+/(params|opt|ema|norms)(\.orbax-checkpoint-tmp(/\w+(\.txt)?)?)?$",
        "orbax opens files by name; nofollow.checked looks at the folder just before",
    ),
)

_PATHS: Mapping[str, tuple[tuple[int, int | None], ...]] = {
    "open": ((0, None),),
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.link": ((1, 3),),
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.rmdir": ((0, 1),),
    "os.setxattr": ((0, None),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "os.utime": ((0, 3),),
    "shutil.copyfile": ((1, None),),
    "shutil.copytree": ((1, None),),
    "shutil.move": ((0, None), (1, None)),
    "shutil.rmtree": ((0, 1),),
    "shutil.unpack_archive": ((1, None),),
}
"""Event -> among its arguments the path, and the descriptor of the folder it is relative to."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Write(NamedTuple):
    """One event, and who caused it: the nearest module of vitctl, the nearest library."""

    event: str
    path: str
    module: str
    library: str

    @property
    def allowed(self) -> bool:
        return any(
            (self.library, self.module) == (entry.library, entry.module)
            and re.search(entry.where, self.path)
            for entry in ALLOWED
        )


@contextmanager
def recording(below: Path) -> Iterator[list[Write]]:
    """What vitctl and libraries write below a folder meanwhile, in all threads, but by `nofollow`;
    tests' own writes are left out. Of two that overlap only the inner one records."""
    _install()
    writes: list[Write] = []
    _RECORDERS.append((os.path.realpath(below) + os.sep, writes))
    try:
        yield writes
    finally:
        _RECORDERS.pop()


_RECORDERS: list[tuple[str, list[Write]]] = []


@cache
def _install() -> None:
    """Once for the whole process: no hook can be taken away."""
    sys.addaudithook(_hear)


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _PATHS or not _RECORDERS:
        return
    if event == "open" and not _writes(*arguments[1:]):
        return
    module, library = _caller(sys._getframe(1))
    if module == NOFOLLOW or module.partition(".")[0] == "tests" or library == "_pytest":
        return
    below, writes = _RECORDERS[-1]
    for path_at, folder_at in _PATHS[event]:
        path = _absolute(arguments, path_at, folder_at)
        if path is not None and path.startswith(below):
            writes.append(Write(event, path, module, library))


def _writes(mode: str | None, flags: int | None) -> bool:
    if isinstance(flags, int):
        return bool(flags & _WRITING)
    return bool(mode and set(mode) & set("wax+"))


def _absolute(arguments: tuple[Any, ...], path_at: int, folder_at: int | None) -> str | None:
    """None for a descriptor: whoever opened it was recorded."""
    path = arguments[path_at]
    if isinstance(path, int) or path is None:
        return None
    folder = "."
    if folder_at is not None and len(arguments) > folder_at:
        number = arguments[folder_at]
        folder = f"/proc/self/fd/{number}" if isinstance(number, int) and number >= 0 else "."
    parent, name = os.path.split(os.path.join(folder, os.fsdecode(path)).rstrip("/"))
    return os.path.join(os.path.realpath(parent), name)


def _caller(frame: FrameType | None) -> tuple[str, str]:
    """The nearest module of ours, "" if there is none, and the nearest library before it."""
    library = ""
    while frame is not None:
        kind, name = _module_of(frame.f_code.co_filename)
        if kind == "own":
            return name, library
        if kind == "library":
            library = library or name
        frame = frame.f_back
    return "", library


_PACKAGES = tuple(sysconfig.get_path(name) + os.sep for name in ("purelib", "platlib"))


@cache
def _module_of(file: str) -> tuple[str, str]:
    for packages in _PACKAGES:
        if file.startswith(packages):
            return "library", file.removeprefix(packages).split(os.sep)[0].removesuffix(".py")
    for package in ("vitctl", "stages", "tests"):
        if file.startswith(f"{ROOT / package}{os.sep}"):
            parts = Path(file).relative_to(ROOT).with_suffix("").parts
            return "own", ".".join(part for part in parts if part != "__init__")
    return "", ""
