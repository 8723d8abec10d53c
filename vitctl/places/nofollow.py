"""The only module that writes, replaces or removes files on this machine.

A store is written by everyone who may write to it, and copied from anywhere. A symbolic link in it
would let a command empty, replace or remove what lies outside. So each function here walks from
the base of a `BasedPath` folder by folder, by descriptors, and refuses a link on the way
(`O_NOFOLLOW`): no folder can be exchanged for a link between a look and what follows it. Links
above the base, and the base itself, are its owner's. A plain `Path` is taken to lie directly in
its base.

Libraries open files by name. `checked` looks before they do; what is left is described in
docs/guide/artifacts.md.
"""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

from vitctl.errors import InputError
from vitctl.places.based_path import BasedPath, temporary_name

# O_PATH needs no right to read a folder, only to pass it; other systems don't have it.
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
# What open says of a link that it must not follow (EMLINK on FreeBSD); of one that should be a
# folder, that it is none.
_REFUSALS = frozenset({errno.ELOOP, errno.EMLINK, errno.ENOTDIR})

_AT_ONCE = 8
# Each fails only if a folder is removed in the microseconds between two calls.
_TRIES = 100

T = TypeVar("T")


class LinkError(InputError):
    """A symbolic link lies where a command is to write or remove something."""

    def __init__(self, link: str | os.PathLike[str]) -> None:
        super().__init__(
            f"{os.fspath(link)} is a symbolic link, and vitctl writes and removes nothing through "
            "a link inside a store or --out",
            hint=f"remove the link, which leaves what it points to as it is: "
            f"rm {shlex.quote(os.fspath(link))}; or name the real folder with --store or --out",
        )
        self.link = os.fspath(link)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.link,)


class FolderEntry(NamedTuple):
    """A name in a folder, and what it is itself: a link is neither file nor folder."""

    name: str
    is_file: bool
    is_folder: bool
    is_link: bool


# Looking


def check(path: Path) -> None:
    """Raise LinkError if the path itself, or a folder between it and its base, is a link. What is
    not there is no link."""
    with suppress(FileNotFoundError, NotADirectoryError), _parent(path) as (folder, name):
        if not _is_base(path) and _is_link(name, folder):
            raise LinkError(path)


def checked(path: Path) -> Path:
    """The path for a library that opens files by name: without links, as none is followed below
    the base. Raises LinkError."""
    check(path)
    base, parts = _split(path)
    return Path(os.path.realpath(base), *parts)


def sizes(path: Path, names: Iterable[str]) -> Iterator[int | OSError | LinkError]:
    """Bytes of each of these files below a folder (relative POSIX paths), or why that isn't known.
    Each folder is looked at once: a listing of a store asks for thousands."""
    links: dict[str, str | None] = {"": None}  # folder -> the link that it is, or lies below

    def link_above(relative: str, folder: int) -> str | None:
        above = relative.rpartition("/")[0]
        if above not in links:
            links[above] = link_above(above, folder) or (above if _is_link(above, folder) else None)
        return links[above]

    with _folder(path) as folder:
        for name in names:
            try:
                if (link := link_above(name, folder)) is not None:
                    yield LinkError(path / link)
                    continue
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except OSError as error:
                yield _named(error, path / name)
            else:
                yield LinkError(path / name) if stat.S_ISLNK(status.st_mode) else status.st_size


def listing(path: Path) -> list[FolderEntry]:
    """What is directly in a folder, sorted by name."""
    with _folder(path) as folder:
        return _listed(folder)


def below(path: Path) -> Iterator[tuple[str, FolderEntry]]:
    """Relative POSIX path and kind of everything below a folder that is no folder itself."""
    with _folder(path) as folder:
        yield from _below(folder, "", path)


def _listed(folder: int) -> list[FolderEntry]:
    inner = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        with os.scandir(inner) as scanned:
            entries = [
                FolderEntry(
                    entry.name,
                    is_file=entry.is_file(follow_symlinks=False),
                    is_folder=entry.is_dir(follow_symlinks=False),
                    is_link=entry.is_symlink(),
                )
                for entry in scanned
            ]
    finally:
        os.close(inner)
    return sorted(entries)


def _below(folder: int, above: str, path: Path) -> Iterator[tuple[str, FolderEntry]]:
    """A checkpoint has more folders than files: each is opened from the one above, once."""
    for entry in _listed(folder):
        relative = above + entry.name
        if not entry.is_folder:
            yield relative, entry
            continue
        try:
            inner = os.open(entry.name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
        except OSError as error:
            raise _explained(error, path / relative, entry.name, folder) from None
        try:
            yield from _below(inner, f"{relative}/", path)
        finally:
            os.close(inner)


# Opening


def descriptor(path: Path, flags: int, mode: int = 0o666) -> int:
    """Like `os.open`, never through a link."""
    with _parent(path) as (folder, name):
        try:
            return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=folder)
        except OSError as error:
            raise _explained(error, path, name, folder) from None


def opened(path: Path, mode: str, **more: Any) -> IO[Any]:
    """Like `open`, never through a link. What begins anew or is appended to is a file with this
    name only: a copy of a store by hard links (`cp -al`) shares its files with the original."""
    if mode[0] in "aw":
        _unshare(path, keep=mode[0] == "a")
    return open(path, mode, opener=lambda _, flags: descriptor(path, flags), **more)


def create(path: Path) -> IO[str]:
    """A text file to write, in a folder that is made for it."""
    make_folder(path.parent)
    return opened(path, "w", encoding="utf-8")


def read(path: Path) -> bytes:
    """The content of a file. Raises LinkError for a link."""
    with opened(path, "rb") as file:
        return file.read()


def read_plain(path: Path) -> bytes:
    """The content of a file that is no link itself; the folders above are taken as they are. Raises
    LinkError."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _REFUSALS and os.path.islink(path):
            raise LinkError(path) from None
        raise
    with open(number, "rb") as file:
        return file.read()


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, survive a power cut."""
    opening = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if _is_base(path) else None
    number = descriptor(path, os.O_RDONLY) if opening is None else opening
    try:
        sync_opened(number)
    finally:
        os.close(number)


def sync_opened(number: int) -> None:
    """Like `sync`, of a descriptor."""
    try:
        os.fsync(number)
    except OSError as error:
        # Some network file systems have no fsync for folders; their renames are durable anyway.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


# Changing


def make_folder(path: Path) -> None:
    """The folder, and those above it, made where they are not there."""
    base, parts = _split(path)
    _make_base(base)
    folder = os.open(base, _FOLDER)
    try:
        for number, name in enumerate(parts, start=1):
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=folder)
            folder = _step(folder, name, base, parts[:number])
    finally:
        os.close(folder)


def first_in_folder(make: Callable[[], None], write: Callable[[], T]) -> T:
    """Make a folder and write the first file in it. A command that was refused may remove the
    folder between the two, as it was empty; then it is made again."""
    for _ in range(_TRIES):
        with suppress(FileNotFoundError):
            make()
            return write()
    make()
    return write()


def _make_base(base: str) -> None:
    for _ in range(_TRIES):
        with suppress(FileNotFoundError):  # see `first_in_folder`
            os.makedirs(base, exist_ok=True)
            return
    # What is no file system of files, such as /proc, answers so to every new name.
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), base)


def rename(source: Path, target: Path) -> None:
    """Give a file another name, in the place of what has it. Raises LinkError if that is a link,
    though it would only be replaced: somebody meant something by it."""
    with _parent(source) as (source_folder, name), _parent(target) as (target_folder, other):
        if _is_link(other, target_folder):
            raise LinkError(target)
        try:
            os.rename(name, other, src_dir_fd=source_folder, dst_dir_fd=target_folder)
        except OSError as error:
            raise _named(error, target) from None


def link(source: Path, target: Path) -> None:
    """Give a file another name besides. Raises FileExistsError where that is taken."""
    with _parent(source) as (source_folder, name), _parent(target) as (target_folder, other):
        os.link(
            name, other, src_dir_fd=source_folder, dst_dir_fd=target_folder, follow_symlinks=False
        )


def truncate(path: Path, size: int) -> None:
    """Cut a file, under this name only (see `opened`)."""
    _unshare(path, keep=True)
    number = descriptor(path, os.O_WRONLY)
    try:
        os.ftruncate(number, size)
    finally:
        os.close(number)


def _unshare(path: Path, *, keep: bool) -> None:
    """Make a file with several names one of its own, with the same content if `keep`, before it is
    changed in its place."""
    with _parent(path) as (folder, name):
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return
        if not stat.S_ISREG(status.st_mode) or status.st_nlink == 1:
            return
        if not keep:
            os.unlink(name, dir_fd=folder)
            return
        aside = temporary_name(name)
        reading = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        making = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with (
                open(reading, "rb") as source,
                open(os.open(aside, making, status.st_mode, dir_fd=folder), "wb") as copy,
            ):
                shutil.copyfileobj(source, copy)
                copy.flush()
                os.fsync(copy.fileno())
            os.rename(aside, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException as error:
            with suppress(FileNotFoundError):
                os.unlink(aside, dir_fd=folder)
            raise _named(error, path) if isinstance(error, OSError) else error from None


def remove(path: Path, *, missing_ok: bool = False) -> None:
    """Remove a file; of a link only the link itself."""
    try:
        with _parent(path) as (folder, name):
            os.unlink(name, dir_fd=folder)
    except FileNotFoundError as error:
        if not missing_ok:
            raise _named(error, path) from None
    except OSError as error:
        raise _named(error, path) from None


def remove_folder(path: Path) -> None:
    """Remove an empty folder."""
    with _parent(path) as (folder, name):
        os.rmdir(name, dir_fd=folder)


def remove_tree(path: Path, *, ignore_errors: bool = False) -> None:
    """Remove a folder with all that is in it: of links in it only the links themselves. Raises
    LinkError, whatever errors are ignored, if it is a link itself."""
    try:
        with _parent(path) as (folder, name):
            if _is_link(name, folder):
                raise LinkError(path)
            _remove_inner(path, depth=2)
            shutil.rmtree(name, dir_fd=folder, ignore_errors=ignore_errors)
    except OSError as error:
        if not ignore_errors:
            raise _named(error, path) from None


def _remove_inner(path: Path, *, depth: int) -> None:
    """Remove the folders that lie so deep below a folder, several at a time: a checkpoint has
    hundreds, and each removal waits for a server on NFS. What cannot be removed is left."""
    with suppress(OSError), ThreadPoolExecutor(_AT_ONCE) as threads, _folder(path) as folder:
        _remove_at(folder, depth, threads)


def _remove_at(folder: int, depth: int, threads: ThreadPoolExecutor) -> None:
    names = [entry.name for entry in _listed(folder) if entry.is_folder]
    if depth == 1:
        for _ in threads.map(lambda n: shutil.rmtree(n, True, dir_fd=folder), names):
            pass
        return
    for name in names:
        with suppress(OSError):
            inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            try:
                _remove_at(inner, depth - 1, threads)
            finally:
                os.close(inner)


# Walking


def _split(path: Path) -> tuple[str, tuple[str, ...]]:
    """The base, and the names below it."""
    if not isinstance(path, BasedPath):
        return (str(path.parent), (path.name,)) if path.name not in ("", "..") else (str(path), ())
    if path.base is None:
        raise ValueError(f"{path} has no base: it was not made from a store's path")
    parts = path.relative_to(path.base).parts
    if ".." in parts:
        raise ValueError(f"{path} leaves its base {path.base}")
    return path.base, parts


def _is_base(path: Path) -> bool:
    return not _split(path)[1]


@contextmanager
def _folder(path: Path) -> Iterator[int]:
    """A descriptor of a folder."""
    base, parts = _split(path)
    folder = os.open(base, _FOLDER)
    try:
        for number, name in enumerate(parts, start=1):
            folder = _step(folder, name, base, parts[:number])
        yield folder
    finally:
        os.close(folder)


@contextmanager
def _parent(path: Path) -> Iterator[tuple[int, str]]:
    """A descriptor of the folder that a path lies in, and its name there."""
    base, parts = _split(path)
    if not parts:  # links above the base are its owner's
        base = os.path.abspath(base)
        base, parts = os.path.dirname(base), (os.path.basename(base),)
    folder = os.open(base, _FOLDER)
    try:
        for number, name in enumerate(parts[:-1], start=1):
            folder = _step(folder, name, base, parts[:number])
        yield folder, parts[-1]
    finally:
        os.close(folder)


def _step(folder: int, name: str, base: str, parts: tuple[str, ...]) -> int:
    """The descriptor of the folder `base/parts`, which is `name` in `folder`; that is closed if it
    is found, else left open."""
    try:
        inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
    except OSError as error:
        raise _explained(error, Path(base, *parts), name, folder) from None
    os.close(folder)
    return inner


def _is_link(name: str, folder: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _explained(error: OSError, path: Path, name: str, folder: int) -> Exception:
    """LinkError if that is why a name was not opened."""
    if error.errno in _REFUSALS and _is_link(name, folder):
        return LinkError(path)
    return _named(error, path)


def _named(error: OSError, path: Path) -> OSError:
    """The error with the whole path, not the last name of it."""
    error.filename = str(path)
    return error
