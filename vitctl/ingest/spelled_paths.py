"""Files whose names one word spells with braces or `*`, as shells read them."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterable

from vitctl.errors import NotFoundError, UsageError
from vitctl.places.local import is_there

_MOST_FILES = 100_000
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def expanded(given: str) -> list[bytes]:
    """The files that one word names: itself if it exists, else as shells read `{000..099}`,
    `{a,b}`, `*`, `?` and `**`. Raises `NotFoundError`."""
    if os.path.lexists(given):
        return [os.fsencode(given)]
    spelled = list(itertools.islice(_braces(given), _MOST_FILES + 1))
    if len(spelled) > _MOST_FILES:
        raise UsageError(f"{given} names more than {_MOST_FILES:,} files")
    paths: list[str] = []
    missing: list[str] = []
    for word in spelled:
        matches = sorted(glob.glob(word, recursive=True)) if glob.has_magic(word) else [word]
        missing += [match for match in matches or [word] if not is_there(match)]
        paths += matches
    if missing:
        several = f" ({len(missing)} of {len(spelled)} are missing)" if len(spelled) > 1 else ""
        if "://" in missing[0]:
            raise NotFoundError(
                f"{missing[0]} is no local file{several}",
                hint="nothing is downloaded: get the files first, or mount them as a folder",
            )
        raise NotFoundError(
            f"{missing[0]} does not exist{several}",
            hint="give a folder of class folders, archives of such, or `digits` for the built-in "
            "ones",
        )
    return [os.fsencode(path) for path in dict.fromkeys(paths)]


def _braces(word: str) -> Iterable[str]:
    match = re.search(r"\{([^{}]*)\}", word)
    if match is None or not ("," in match[1] or _RANGE.fullmatch(match[1])):
        yield word
        return
    if span := _RANGE.fullmatch(match[1]):
        first, last = int(span[1]), int(span[2])
        width = len(span[1]) if span[1].startswith("0") else 1
        step = 1 if last >= first else -1
        middles: Iterable[str] = (f"{i:0{width}d}" for i in range(first, last + step, step))
    else:
        middles = match[1].split(",")
    for middle in middles:
        for rest in _braces(word[match.end() :]):
            yield word[: match.start()] + middle + rest
