"""How much room a disk has."""

from __future__ import annotations

import shutil
from pathlib import Path


def free_bytes(folder: Path) -> int | None:
    """Of the disk that `folder` is on; None where its file system counts nothing, as some that
    stand for a bucket or another machine: they report 0 bytes of 0."""
    usage = shutil.disk_usage(folder)
    return usage.free if usage.total else None
