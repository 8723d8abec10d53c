"""Files that lie among images without being any: what systems and programs leave behind, and images
under names that hide what they are. They are counted by kind, never taken.

    .DS_Store, ._x, Thumbs.db, desktop.ini, @eaDir/, __MACOSX/    left by a system
    photo.jpg?w=400, photo.jpg.1, photo.jpg.part                  named by a download
"""

from __future__ import annotations

import os
import re
from collections import Counter

# Files with these endings, or none, are taken for images; others are counted and left alone.
IMAGE_ENDINGS = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
        *(".tif", ".tiff", ".jp2", ".j2k", ".jpx", ".avif", ".heic", ".heif", ".hif"),
        *(".pbm", ".pgm", ".ppm", ".pnm"),
    )
)

_SYSTEM_FILES = frozenset(("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", ".ds_store"))
_SYSTEM_FOLDERS = {
    "@eadir": "@eaDir folders (thumbnails of a Synology)",
    "__macosx": "__MACOSX folders",
    "#recycle": "recycle bins",
    "$recycle.bin": "recycle bins",
    "system volume information": "folders of Windows",
    "lost+found": "lost+found folders",
}
_LEFT_BY_A_SYSTEM = "files that a system left (.DS_Store, ._x, Thumbs.db and the like)"
_HIDDEN_FOLDERS = "hidden folders"

_MISNAMED = (
    (re.compile(r"\.\w{3,4}[?&#].*"), "a web address's tail (photo.jpg?w=400)"),
    (re.compile(r"\.\w{3,4}[._ (-]*\d+\)?"), "a number after the ending (photo.jpg.1)"),
    (re.compile(r"\.\w{3,4}[:_].*"), "something after the ending (photo.jpg:large)"),
)
_HALF = re.compile(r"\.\w{3,4}\.(part|partial|crdownload|download|tmp|filepart)")
_ENDING = re.compile(r"\.(jpe?g|png|webp|gif|bmp|tiff?|avif|hei[cf])(?![a-z])", re.IGNORECASE)
# The noun that a kind begins with, perhaps after one other word, and a verb in the plural.
_NOUN = re.compile(
    r"^((?:\S+ )?(?:folder|file|link|image|row|record|member|download|table|bin))s\b"
)
_VERB = re.compile(r"\b(that (?:lead|repeat))\b")


def folder_kind(name: str) -> str | None:
    """What kind of folder holds no images of a source, by its name; None if it may hold some."""
    if kind := _SYSTEM_FOLDERS.get(name.lower()):
        return kind
    return _HIDDEN_FOLDERS if name.startswith(".") else None


def file_kind(name: str) -> str | None:
    """The kind under which a file is counted that is left alone; None if it should be an image."""
    if name.startswith("._") or name.lower() in _SYSTEM_FILES:
        return _LEFT_BY_A_SYSTEM
    if name.startswith("."):
        return "hidden files"
    ending = os.path.splitext(name)[1].lower()
    if not ending or ending in IMAGE_ENDINGS:
        return None
    return misnamed(name) or f"{ending} files"


def misnamed(name: str) -> str | None:
    """How the name of an image hides that it is one: "images with ..."; None if it does not."""
    ending = _ENDING.search(name)
    if ending is None:
        return None
    tail = name[ending.start() :].lower()
    if _HALF.fullmatch(tail):
        return "downloads that did not finish (photo.jpg.part)"
    for pattern, how in _MISNAMED:
        if pattern.fullmatch(tail):
            return f"{MISNAMED} {how}"
    return None


def kinds_in_words(counts: Counter[str], *, most: int) -> str:
    """How many files of each kind were left alone, the most frequent ones first: "2 .txt files"."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{count:,} {_of_one(kind) if count == 1 else kind}" for kind, count in ordered[:most]]
    more = len(counts) - len(shown)
    if more:
        shown.append(f"and {more} more kind{'s' * (more > 1)}")
    return ", ".join(shown)


def _of_one(kind: str) -> str:
    """ "links that lead back up" -> "link that leads back up"."""
    return _VERB.sub(r"\1s", _NOUN.sub(r"\1", kind))


NAMED = "files named as an image "
MISNAMED = f"{NAMED}with"
"""How the kinds of misnamed images begin."""
