"""Readable names of classes, by files that come with the images: of WordNet ids (n01440764 is a
tench) from ImageNet's and its kin, of numbers from cat_to_name.json, of Food-101 from labels.txt.

They are looked for where the images are, in an archive, too; of the 1,000 classes of ILSVRC-2012
they are known without a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vitctl.data.class_map import ilsvrc2012_titles
from vitctl.data.classes import pairs_in
from vitctl.errors import VitctlError
from vitctl.ingest.sources.imagenet_truth import read_devkit
from vitctl.ingest.trees.title_files import CAT_TO_NAME, KERAS, PARALLEL, WORDNET_LISTS, TitleFiles
from vitctl.text.textfiles import decode

_WNID = re.compile(r"n\d{8}")
_DEVKITS = ("ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_devkit_t12")
_MOST_BYTES = 2**25
"""Of a list. The largest, words.txt of all 82,115 synsets, has 3 MB."""


@dataclass(frozen=True)
class KnownTitles:
    """Readable names of classes.

    Attributes:
      titles: class -> words for it.
      origin: what says them, as a phrase.
      path: the file that says them; None where it is vitctl itself, or lies in the source.
      notes: on files that could not be read, a sentence each.
      of_wordnet: whether the classes are called by WordNet ids.
      before: those that versions gave which did not read this file, where these gave any.
    """

    titles: Mapping[str, str]
    origin: str
    path: Path | None = None
    notes: tuple[str, ...] = ()
    of_wordnet: bool = False
    before: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _File:
    """A file that may say names of classes."""

    shown: str
    content: bytes
    path: Path | None


def known_titles(
    classes: Sequence[str], folders: Sequence[Path], inside: TitleFiles
) -> KnownTitles | None:
    """Names of classes from the first file, in `folders` or `inside` an archive, that has most of
    them; None where none is known."""
    if not classes:
        return None
    if all(map(_WNID.fullmatch, classes)):
        return _of_wordnet(classes, folders, inside)
    notes: list[str] = []
    for file in _files(folders, inside, (CAT_TO_NAME,), notes):
        titles = _read(file, notes)
        if titles is not None and set(classes) <= titles.keys():
            own = _of_classes(classes, titles)
            return KnownTitles(own, file.shown, file.path)
    for names, titles_name in PARALLEL:
        for file in _files(folders, inside, (titles_name,), notes):
            beside = _beside(file, names, inside, notes)
            if beside is not None and (titles := _paired(classes, beside, file)) is not None:
                return KnownTitles(titles, file.shown, file.path, tuple(notes))
    return KnownTitles({}, "", None, tuple(notes)) if notes else None


def _of_wordnet(
    classes: Sequence[str], folders: Sequence[Path], inside: TitleFiles
) -> KnownTitles | None:
    own = _of_classes(classes, ilsvrc2012_titles())
    best = KnownTitles(own, "WordNet 3.0, which vitctl has for ImageNet-1k")
    notes: list[str] = []
    candidates: list[tuple[Mapping[str, str], str, Path | None]] = []
    for file in _files(folders, inside, WORDNET_LISTS, notes):
        if (titles := _read(file, notes)) is not None:
            candidates.append((titles, file.shown, file.path))
    for folder in dict.fromkeys(folders):
        for devkit in (folder / name for name in _DEVKITS):
            try:
                if devkit.exists():
                    candidates.append((read_devkit(devkit).titles, str(devkit), devkit))
            except VitctlError as error:
                notes.append(_unread(str(devkit), error))
    for titles, origin, path in candidates:
        known = _of_classes(classes, titles)
        more = len(known) - len(best.titles)
        # Earlier versions did not read these, so they go before only where they know more.
        is_new = path is None or path.name == KERAS
        if known and (more > 0 or (more == 0 and best.path is None and not is_new)):
            best = KnownTitles(known, origin, path, before=own if is_new else {})
    if not best.titles and not notes:
        return None
    return replace(best, notes=tuple(notes), of_wordnet=True)


def _of_classes(classes: Sequence[str], titles: Mapping[str, str]) -> dict[str, str]:
    return {name: titles[name] for name in classes if name in titles}


def _files(
    folders: Sequence[Path], inside: TitleFiles, names: Sequence[str], notes: list[str]
) -> Iterator[_File]:
    """Files of these names below the folders, then in the archive."""
    for folder in dict.fromkeys(folders):
        for path in (folder / name for name in names):
            file = _file(path, notes)
            if file is not None:
                yield file
    for inner, content in inside.items():
        if any(f"/{inner}".endswith(f"/{name}") for name in names):
            yield _File(inner, content, None)


def _file(path: Path, notes: list[str]) -> _File | None:
    try:
        if path.is_file() and path.stat().st_size <= _MOST_BYTES:
            return _File(str(path), path.read_bytes(), path)
    except OSError as error:
        notes.append(_unread(str(path), f"it can't be read ({error.strerror})"))
    return None


def _beside(file: _File, name: str, inside: TitleFiles, notes: list[str]) -> _File | None:
    """The file of another name in the same folder."""
    base = name.rpartition("/")[2]
    if file.path is not None:
        return _file(file.path.parent / base, notes)
    folder, slash, _ = file.shown.rpartition("/")
    content = inside.get(f"{folder}{slash}{base}")
    return None if content is None else _File(f"{folder}{slash}{base}", content, None)


def _read(file: _File, notes: list[str]) -> Mapping[str, str] | None:
    """Names of classes, and words for them; None where they can't be read, which is noted."""
    try:
        text = decode(file.content, label=f"the list {file.shown}")
        pairs = pairs_in(text, label=f"the list {file.shown}", name=file.shown)
    except VitctlError as error:
        notes.append(_unread(file.shown, error))
        return None
    return {name: " ".join(title.split()) for name, title in pairs.items()}


def _unread(shown: str, error: VitctlError | str) -> str:
    return f"{shown} is not read for names of classes: {error}"


def _paired(classes: Sequence[str], names: _File, titles: _File) -> dict[str, str] | None:
    """Words for classes by two files, whose lines belong together where they say the same but for
    capitals, spaces and hyphens; None for other files."""
    try:
        both = [decode(file.content, label=file.shown).text.split("\n") for file in (names, titles)]
    except VitctlError:
        return None
    lists = [[line.strip() for line in lines if line.strip()] for lines in both]
    if len(lists[0]) != len(lists[1]) or not set(classes) <= set(lists[0]):
        return None
    pairs = dict(zip(*lists, strict=True))
    if any(_plain(name) != _plain(title) for name, title in pairs.items()):
        return None
    return _of_classes(classes, pairs)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()
