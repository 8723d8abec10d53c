"""Arguments, folders and lines of stdin -> the files that are looked at, one by one.

Nothing is listed ahead: a stream of names may have no end, and a folder may hold millions.
"""

from __future__ import annotations

import os
import re
import select
from collections import Counter
from collections.abc import Iterable, Iterator

from stages.predict.spec import PAUSE, NamedImage
from vitctl.errors import InputError
from vitctl.events import Emit, Note
from vitctl.ingest.litter import file_kind, folder_kind, kinds_in_words
from vitctl.ingest.trees import own_output

STDIN = "-"
_PAUSE_S = 0.1
"""Names that come faster than this fill a batch; after it, what was named is answered."""
_PATIENCE_S = 1.0
_CHUNK = 1 << 16
_MOST_BYTES = 1 << 16
"""Of one name; systems allow a few thousand."""
_URL = re.compile(r"(https?|ftp|s3|gs|file|data):", re.IGNORECASE)
_OWN = "vitctl made this folder, which is no source of images; a run is given as --from RUN"
_IMAGE_HEADS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")


def files(
    arguments: Iterable[str], *, separator: bytes, descriptor: int, emit: Emit
) -> Iterator[NamedImage | None]:
    """The files behind the arguments in their order; PAUSE where stdin pauses."""
    for argument in arguments:
        if argument == STDIN:
            yield from lines(descriptor, separator=separator, emit=emit)
        elif os.path.isdir(argument):
            yield from below(argument, emit=emit)
        else:
            yield named(argument)


def named(name: str) -> NamedImage:
    """A file by the name a user gave, which may be no file's."""
    if "\0" in name:
        return NamedImage(name, "its name holds a NUL byte; if all names end in one, add -0")
    if _URL.match(name) and not os.path.exists(name):
        return NamedImage(
            name, "it is a URL; download it first, as vitctl opens no network connection"
        )
    return NamedImage(name)


def below(folder: str, *, emit: Emit) -> Iterator[NamedImage]:
    """The images below a folder, known by their endings, in the order of their paths; links are
    followed, but never into a folder they lie in. A folder that cannot be listed is a Named with
    the problem."""
    skipped: Counter[str] = Counter()
    images = 0
    for image in _below(folder, (_identity(folder),), skipped):
        images += 1
        yield image
    if skipped:
        emit(Note(f"skipped in {folder}: {kinds_in_words(skipped, most=3)}"))
    if not images:
        yield NamedImage(folder, _OWN if _is_own(folder) else "the folder has no images")


def _below(
    folder: str, above: tuple[tuple[int, int], ...], skipped: Counter[str]
) -> Iterator[NamedImage]:
    try:
        if _is_own(folder):
            skipped[own_output.KIND] += 1
            return
        with os.scandir(folder) as scanned:
            items = sorted(scanned, key=lambda item: item.name)
    except OSError as error:
        yield NamedImage(folder, f"the folder can't be listed ({error.strerror})")
        return
    for item in items:
        if item.is_dir():
            identity = _identity(item.path)
            if kind := folder_kind(item.name):
                skipped[kind] += 1
            elif identity in above:
                skipped["links that lead back up"] += 1
            else:
                yield from _below(item.path, (*above, identity), skipped)
        elif kind := file_kind(item.name):
            skipped[kind] += 1
        else:
            yield NamedImage(item.path)


def _is_own(folder: str) -> bool:
    return own_output.made_by_vitctl(os.fsencode(folder))


def _identity(folder: str) -> tuple[int, int]:
    info = os.stat(folder)
    return info.st_dev, info.st_ino


def lines(descriptor: int, *, separator: bytes, emit: Emit) -> Iterator[NamedImage | None]:
    """The names of a stream, a line each, or between other separators; PAUSE where none comes for
    a while. Raises InputError for what can't be names."""
    pending = b""
    unanswered = announced = False
    first = True
    while True:
        ready = select.select([descriptor], [], [], _PAUSE_S if unanswered else _PATIENCE_S)[0]
        if not ready:
            if unanswered:
                unanswered = False
                yield PAUSE
            elif not announced and first:
                announced = True
                emit(Note("waiting for the paths of images on stdin"))
            continue
        try:
            chunk = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            continue
        if first and chunk.startswith(_IMAGE_HEADS):
            raise InputError(
                "stdin holds an image, where paths of images are expected",
                hint="give the path of its file as an argument",
            )
        first = False
        *whole, pending = (pending + chunk).split(separator)
        if not chunk and pending:
            whole, pending = [pending], b""
        for line in whole:
            name = os.fsdecode(line if separator == b"\0" else line.rstrip(b"\r"))
            if name.strip():
                unanswered = True
                yield _of_line(name)
        if not chunk:
            return
        if len(pending) > _MOST_BYTES:
            raise InputError(
                f"stdin holds a name of more than {_MOST_BYTES:,} bytes, which no file has",
                hint="write a path a line, or end each with NUL and add -0: find ... -print0",
            )


def _of_line(name: str) -> NamedImage:
    if os.path.isdir(name.split("\0", 1)[0]):
        return NamedImage(name, "it is a folder; folders are read if they are given as arguments")
    return named(name)
