"""The files of arrays among those of a folder or an archive, as datasets of small images come:
CIFAR's, MNIST's, STL-10's.

What lies there as one of them and can't be read is an error, not litter: else a split would be
missing without a word.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace

from vitctl.data.names import text_of
from vitctl.errors import InputError
from vitctl.ingest.choices import Choices
from vitctl.ingest.listing import Listing
from vitctl.ingest.litter import file_kind
from vitctl.ingest.parts import DamagedError
from vitctl.ingest.sources.array_files import Files, HeadedFile, without_twins
from vitctl.ingest.sources.file_format import Format
from vitctl.pixels.file_kinds import kind_of


def list_arrays(
    given: str, files: Files, formats: Sequence[Format], choices: Choices
) -> Listing | None:
    """The images of these files; None where none of them holds arrays, or some may be images, as
    files without an ending. Raises `InputError`, OSError, `DamagedError`."""
    unnamed = [file for file in files.files if file_kind(file.file.base) is None]
    if unnamed and all(_is_pickle(file.head) for file in unnamed):  # CIFAR's Python version
        check_no_pickle(unnamed[0].head, unnamed[0].file.shown)
    by_format: dict[str, tuple[Format, list[HeadedFile]]] = {}
    others: list[HeadedFile] = []
    for file in files.files:
        format = _format(file, formats)
        if format is None:
            others.append(file)
        else:
            by_format.setdefault(format.name, (format, []))[1].append(file)
    if len(by_format) != 1:
        return None
    format, arrays = next(iter(by_format.values()))
    endings = {_ending(file) for file in arrays} - {""}
    broken = [file for file in others if _ending(file) in endings or "ubyte" in file.file.base]
    if any(file_kind(file.file.base) is None for file in others if file not in broken):
        return None
    _check_whole(given, format, files.damage, broken)
    single, twice = without_twins(file.file for file in arrays)
    choices.check_no_columns(given)
    assert format.list_array_files is not None
    listing = format.list_array_files(given, single, choices)
    if not twice:
        return listing
    other, first = twice[0]
    more = f" ({len(twice):,} such files)" if len(twice) > 1 else ""
    note = f"{other.shown} is not read, since {text_of(first.name)} holds the same{more}"
    return replace(listing, notes=(*listing.notes, note))


def _format(file: HeadedFile, formats: Iterable[Format]) -> Format | None:
    for format in formats:
        if format.fits is not None:
            try:
                if format.fits(file.head, file.file):
                    return format
            except DamagedError:  # by its name and its beginning it is one
                return format
    return None


def _ending(file: HeadedFile) -> str:
    stem, ending = os.path.splitext(file.file.base.lower())
    return os.path.splitext(stem)[1] or ending if ending == ".gz" else ending


def _check_whole(
    given: str, format: Format, damage: Sequence[str], broken: Sequence[HeadedFile]
) -> None:
    """Raise InputError where files are missing or are not what they are called."""
    if damage:
        raise InputError(
            f"{given} {damage[0]}, so some of its files are missing",
            hint="download it again",
        )
    if not broken:
        return
    file = broken[0]
    kind = kind_of(file.head)
    reason = file.damage or (f"it is {kind.name}" if kind else "it holds something else")
    raise InputError(
        f"{file.file.shown} lies among files of one dataset ({format.description}), and can't be "
        f"read as one of them: {reason}",
        hint="download it again, or move it away if it belongs to something else",
    )


def _is_pickle(head: bytes) -> bool:
    return head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5")


def check_no_pickle(head: bytes, shown: str) -> None:
    if _is_pickle(head):
        raise InputError(
            f"{shown} is a Python pickle, which can run any code when it is read, so it is not",
            hint="of CIFAR, take the binary version or MATLAB's; else save the arrays: "
            "numpy.savez(FILE, x_train=images, y_train=labels)",
        )
