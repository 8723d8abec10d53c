"""What vitctl itself wrote is never a source of images: artifacts, runs and their drafts are known
by the file that each of them has, replay pictures by a text that is in them.

A stranger's `run.json` or `artifact.json` is told from ours by its fields.
"""

from __future__ import annotations

import os

from vitctl import strict_json
from vitctl.artifacts.files import DRAFT, RUN
from vitctl.artifacts.manifest import MANIFEST
from vitctl.data.sheet import MADE_BY

KIND = "folders that vitctl made"

_MARKS = {
    MANIFEST: {"format", "kind", "id", "digest", "stage"},
    RUN: {"format", "kind", "id", "stage", "segments"},
    DRAFT: {"vitctl"},
}
_MOST_BYTES = 64 << 20
_PNG = b"\x89PNG\r\n\x1a\n"


def made_by_vitctl(folder: bytes) -> bool:
    """Whether a folder is an artifact, a run or a draft of either."""
    return any(
        _has_fields(os.path.join(folder, os.fsencode(mark)), fields)
        for mark, fields in _MARKS.items()
    )


def is_replay_picture(data: bytes) -> bool:
    """Whether these are the bytes of a picture of `vitctl replay`: its text is the first chunk."""
    return data.startswith(_PNG) and MADE_BY.encode() in data[:128]


def _has_fields(path: bytes, fields: set[str]) -> bool:
    if not os.path.isfile(path):  # a pipe of that name would never end
        return False
    try:
        with open(path, "rb") as file:
            content = strict_json.loads(file.read(_MOST_BYTES))
    except (OSError, strict_json.StrictJSONError):
        return False
    return isinstance(content, dict) and fields <= content.keys()
