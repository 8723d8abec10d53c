"""Where images come from: a folder, listed without opening a file.

    SRC/CLASS/any/depth/image.jpg                one split, `val` taken from it by hash
    SRC/{train,val,test}/CLASS/any/depth/...     splits as they are (`validation` is `val`)
    SRC/any/depth/image.jpg and a label file     any number of labels an image

A listing is a table of columns, small enough for tens of millions of files.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from vitctl.data.classes import sort_classes
from vitctl.data.dataset import Split
from vitctl.data.names import text_of
from vitctl.errors import InputError, NotFoundError
from vitctl.ingest.file_kinds import HEAD_BYTES

# Files with these endings, or none, are taken for images; others are counted and left alone.
_IMAGE_ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
    *(
        ".tif",
        ".tiff",
        ".jp2",
        ".j2k",
        ".jpx",
        ".avif",
        ".heic",
        ".heif",
        ".hif",
        ".pbm",
        ".pgm",
        ".ppm",
        ".pnm",
    ),
)
_SPLIT_FOLDERS: dict[bytes, Split] = {
    b"train": "train",
    b"val": "val",
    b"validation": "val",
    b"test": "test",
}

Look = Callable[[bytes, int], None]
"""Is shown the first `HEAD_BYTES` of a file and its size, before the rest is read."""

_PIECE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Entry:
    """One file that should be an image."""

    id: str
    """Stable and unique: its path below the source, as text."""
    class_names: tuple[str, ...]
    """Its labels; one, unless a label file says otherwise."""
    split: Split | None
    """None: the source doesn't say."""
    path: bytes | None
    """Where to read it; None if `data` holds it."""
    size: int
    mtime_ns: int
    data: bytes | None = None

    def read(self, *, look: Look | None = None) -> bytes:
        """Its bytes. `look` sees its beginning and its size first, and may raise.

        Raises `InputError` if it is no longer the file that was listed, OSError if it can't be
        read.
        """
        if self.data is not None:
            if look is not None:
                look(self.data[:HEAD_BYTES], len(self.data))
            return self.data
        with self._opened() as file:
            if look is not None:
                look(os.pread(file.fileno(), HEAD_BYTES, 0), self.size)
            return file.read()

    def pieces(self) -> Iterator[bytes]:
        """Its bytes, a part at a time; otherwise like `read`."""
        if self.data is not None:
            yield self.data
            return
        with self._opened() as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece

    @contextmanager
    def _opened(self) -> Iterator[io.FileIO]:
        assert self.path is not None
        with open(self.path, "rb", buffering=0) as file:
            self._check_unchanged(os.fstat(file.fileno()))
            yield file
            self._check_unchanged(os.fstat(file.fileno()))

    def _check_unchanged(self, info: os.stat_result) -> None:
        if (info.st_size, info.st_mtime_ns) != (self.size, self.mtime_ns):
            raise InputError(
                f"{self.id} changed while it was read",
                hint="wait until nothing writes to the source, then run the command again",
            )


@dataclass(frozen=True)
class Listing:
    """All entries of a source, sorted by id, and what else was seen."""

    root: str
    """How to name the source to a person."""
    entries: list[Entry]
    by_contents: bool = False
    """Whether the fingerprint reads the images: the built-in ones have no file times."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Why files were left alone -> how many."""
    empty_classes: list[str] = field(default_factory=list)
    """Class folders without a single image."""

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over the sorted (id, size, mtime_ns), or with `by_contents` (id, sha256)."""
        return fingerprint(self.entries, contents=self.by_contents)

    @property
    def classes(self) -> list[str]:
        return sort_classes(list({name for entry in self.entries for name in entry.class_names}))

    def only(self, classes: set[str]) -> Listing:
        """The images whose labels are all among these, with a fingerprint of their own."""
        entries = [entry for entry in self.entries if classes.issuperset(entry.class_names)]
        return replace(self, entries=entries, empty_classes=[])


def list_folder(root: Path, *, labels: Mapping[str, tuple[str, ...]] | None = None) -> Listing:
    """List a folder of class folders, or with `labels` (id -> class names) of images anywhere.

    Raises `NotFoundError`, or `InputError` with what to do.
    """
    if not root.exists():
        raise NotFoundError(
            f"{root} does not exist",
            hint="give a folder of class folders, or `digits` for the built-in ones",
        )
    if not root.is_dir():
        raise InputError(f"{root} is not a folder", hint="give a folder of class folders")
    base = os.fsencode(root)
    skipped: Counter[str] = Counter()
    if labels is not None:
        return _list_labelled(base, labels, skipped=skipped)
    tops = list(_visible_folders(base, skipped))
    split_of = _split_layout(base, tops)
    folders: list[tuple[bytes, bytes, Split | None]] = [(name, name, None) for name in tops]
    if split_of is not None:
        folders = [
            (os.path.join(top, name), name, split)
            for top, split in split_of.items()
            for name in _visible_folders(os.path.join(base, top), skipped)
        ]
    entries = [
        _entry(base, path, info, class_names=(text_of(name),), split=split)
        for relative, name, split in folders
        for path, info in _walk(os.path.join(base, relative), skipped, base=base)
    ]
    entries.sort(key=lambda entry: entry.id)
    if not entries:
        raise _nothing_found(root, tops=tops, skipped=skipped)
    found = {name for entry in entries for name in entry.class_names}
    empty = {text_of(name) for _, name, _ in folders} - found
    return Listing(text_of(base), entries, skipped=skipped, empty_classes=sorted(empty))


def _list_labelled(
    base: bytes, labels: Mapping[str, tuple[str, ...]], *, skipped: Counter[str]
) -> Listing:
    tops = list(_visible_folders(base, Counter()))
    split_of = {name: _SPLIT_FOLDERS[name] for name in tops if name in _SPLIT_FOLDERS}
    if len(split_of) < len(tops):
        split_of = {}
    entries = []
    for path, info in _walk(base, skipped, base=base):
        top = os.path.relpath(path, base).split(b"/")[0]
        entry = _entry(base, path, info, class_names=(), split=split_of.get(top))
        if entry.id in labels:
            entries.append(dataclasses.replace(entry, class_names=labels[entry.id]))
        else:
            skipped["images without a line in the label file"] += 1
    strange = sorted(labels.keys() - {entry.id for entry in entries})
    if strange:
        raise InputError(
            f"{len(strange)} of the {len(labels)} images in the label file are not in "
            f"{text_of(base)} ({', '.join(strange[:3])}{', ...' if len(strange) > 3 else ''})",
            hint="an id is the path of the image below the source",
        )
    if not entries:
        raise InputError("the label file names no image", hint="give it a line for each image")
    entries.sort(key=lambda entry: entry.id)
    return Listing(text_of(base), entries, skipped=skipped)


def fingerprint(entries: list[Entry], *, contents: bool = False) -> str:
    """sha256 over the sorted (id, size, mtime_ns), with `contents` over (id, sha256 of bytes)."""
    digest = hashlib.sha256()
    for entry in sorted(entries, key=lambda entry: entry.id):
        proof = _content_proof(entry) if contents else f"{entry.size} {entry.mtime_ns}"
        # Ids hold no control characters, so a line is unambiguous.
        digest.update(f"{entry.id}\n{proof}\n".encode())
    return digest.hexdigest()


def _content_proof(entry: Entry) -> str:
    digest = hashlib.sha256()
    try:
        for piece in entry.pieces():
            digest.update(piece)
        return digest.hexdigest()
    except OSError:
        return "unreadable"  # it will be rejected


def _split_layout(base: bytes, tops: list[bytes]) -> dict[bytes, Split] | None:
    """Top folder -> split, if that is what the top folders are."""
    if not tops or not all(name in _SPLIT_FOLDERS for name in tops):
        return None
    # Two classes that happen to be called train and test hold images, not folders of them.
    if not any(_has_folders(os.path.join(base, name)) for name in tops):
        return None
    if b"val" in tops and b"validation" in tops:
        raise InputError(
            f"{text_of(base)} has both a val and a validation folder",
            hint="keep one of them",
        )
    return {name: _SPLIT_FOLDERS[name] for name in tops}


def _has_folders(folder: bytes) -> bool:
    return any(True for _ in _visible_folders(folder, Counter()))


def _entry(
    base: bytes,
    path: bytes,
    info: os.stat_result,
    *,
    class_names: tuple[str, ...],
    split: Split | None,
) -> Entry:
    return Entry(
        id=text_of(os.path.relpath(path, base)),
        class_names=class_names,
        split=split,
        path=path,
        size=info.st_size,
        mtime_ns=info.st_mtime_ns,
    )


def _walk(
    folder: bytes, skipped: Counter[str], *, base: bytes
) -> Iterator[tuple[bytes, os.stat_result]]:
    """Image files below `folder`. Links are followed, but never into a folder we are inside of."""
    stack = [(folder, frozenset(_identity(os.stat(place)) for place in (base, folder)))]
    while stack:
        current, above = stack.pop()
        for item in _scan(current):
            if item.name.startswith(b"."):
                continue
            try:
                info = item.stat()
            except OSError:
                skipped["broken links"] += 1
                continue
            if stat.S_ISDIR(info.st_mode):
                if _identity(info) in above:
                    skipped["links that lead back up"] += 1
                    continue
                stack.append((item.path, above | {_identity(info)}))
            elif not stat.S_ISREG(info.st_mode):
                skipped["pipes, sockets and devices"] += 1
            elif (ending := _ending(item.name)) and ending not in _IMAGE_ENDINGS:
                skipped[f"{text_of(os.fsencode(ending))} files"] += 1
            else:
                yield item.path, info


def _visible_folders(folder: bytes, skipped: Counter[str]) -> Iterator[bytes]:
    for item in _scan(folder):
        if item.name.startswith(b"."):
            continue
        try:
            info = item.stat()
        except OSError:
            skipped["broken links"] += 1
            continue
        if stat.S_ISDIR(info.st_mode):
            yield item.name
        else:
            skipped["files outside a class folder"] += 1


def _scan(folder: bytes) -> list[os.DirEntry[bytes]]:
    try:
        with os.scandir(folder) as items:
            return sorted(items, key=lambda item: item.name)
    except OSError as error:
        raise InputError(
            f"the folder {text_of(folder)} can't be listed ({error.strerror})",
            hint="make it readable, or move it out of the source",
        ) from None


def _ending(name: bytes) -> str:
    return os.path.splitext(os.fsdecode(name))[1].lower()


def _identity(info: os.stat_result) -> tuple[int, int]:
    return info.st_dev, info.st_ino


def _nothing_found(root: Path, *, tops: list[bytes], skipped: Counter[str]) -> InputError:
    if skipped["files outside a class folder"] and not tops:
        return InputError(
            f"{root} holds files but no class folders",
            hint="put the images of each class into a folder of its name, or give the folder above",
        )
    seen = ", ".join(f"{count} {what}" for what, count in skipped.most_common(3))
    return InputError(
        f"there is no image in {root}" + (f" (it holds {seen})" if seen else ""),
        hint="give a folder of class folders with images, or `digits` for the built-in ones",
    )
