"""In a process that is to be killed: what it does to files is counted, and it kills itself when it
is about to do so many things to them. Python tells a hook just before."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from pathlib import Path
from typing import Any

_CHANGES = "open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link"
_IN_FOLDER = {"os.remove": 1, "os.rmdir": 1, "os.mkdir": 2, "os.rename": 2, "os.link": 2}
"""Which of the hook's arguments is the open folder that a path is relative to."""


def watch(below: str, *, dies_at: int | None, count: str | None = None) -> None:
    """Count what happens to files whose path begins with `below`. SIGKILL to the process and its
    group, which it leads, just before number `dies_at`; else the file `count` gets the number."""
    changes = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal changes
        if event not in _CHANGES or not arguments:
            return
        path = arguments[0]
        if not isinstance(path, str | bytes | os.PathLike):
            return
        if not _whole(os.fsdecode(path), event, arguments).startswith(below):
            return
        changes += 1
        if changes == dies_at:
            os.killpg(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    if count is not None:
        # Registered first, so it is called last: a thread may be saving until then.
        atexit.register(lambda: Path(count).write_text(str(changes)))


def _whole(path: str, event: str, arguments: tuple[Any, ...]) -> str:
    """`shutil.rmtree` names what it removes within a folder that it has open."""
    folder = arguments[_IN_FOLDER[event]] if event in _IN_FOLDER else -1
    return path if folder < 0 else os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)
