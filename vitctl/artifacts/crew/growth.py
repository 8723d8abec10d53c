"""Copies that one process makes while others wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vitctl import processes
from vitctl.artifacts.files import HELD

_GROWTH_S = 2.0


@contextmanager
def growth_told(folder: Path) -> Iterator[None]:
    """Mark, for the processes that wait, whenever there is more in the folder: from this process or
    from the one that it waits for."""
    if processes.count() == 1:
        yield
        return
    over = threading.Event()

    def look() -> None:
        before = _bytes_in(folder)
        while not over.wait(_GROWTH_S):
            if (now := _bytes_in(folder)) != before and not over.is_set():
                processes.mark("copy")
            before = now

    processes.mark("copy")
    thread = threading.Thread(target=look, name="growth", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        processes.mark("start")


def _bytes_in(folder: Path) -> int:
    size = 0
    for file in folder.rglob("*"):
        if HELD in file.name:  # who waits for a lock makes and removes such files
            continue
        with suppress(OSError):  # it just got its name
            size += file.stat().st_size
    return size
