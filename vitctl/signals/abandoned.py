"""Native work that a signal may leave behind: a compiler cannot be broken off, and need not be
waited for where nothing depends on what it makes."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_LOOK_EVERY_S = 0.1

_left: list[threading.Thread] = []


class Abandoned(Exception):
    """The work goes on in a thread of its own; nobody waits for it any more."""


def unless_abandoned(work: Callable[[], T], *, gives_up: Callable[[], bool]) -> T:
    """What `work` returns, or raises, in a thread beside this one, which hears of signals
    meanwhile. Raises Abandoned as soon as `gives_up` says so."""
    results: list[T] = []
    errors: list[BaseException] = []
    over = threading.Event()

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)
        finally:
            over.set()

    thread = threading.Thread(target=run, name="vitctl-native", daemon=True)
    thread.start()
    try:
        while not over.wait(_LOOK_EVERY_S):
            if gives_up():
                raise Abandoned
    except BaseException:
        if not _left:  # who ends by the interpreter's end, not by `leave_now`, waits after all
            atexit.register(_wait)
        _left.append(thread)
        raise
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _wait() -> None:
    for thread in _left:
        thread.join()


def under_way() -> bool:
    """Whether abandoned work goes on: Python must not take itself apart below it, which crashes."""
    return any(thread.is_alive() for thread in _left)
