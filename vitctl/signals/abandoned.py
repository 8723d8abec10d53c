"""Work in a thread of its own that a signal may leave behind: a compiler, or an import, cannot be
broken off, and need not be waited for where nothing depends on what it makes."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_LOOK_EVERY_S = 0.1

_left: list[threading.Thread] = []


class Abandoned(Exception):
    """The work goes on in a thread of its own; nobody waits for it any more."""


class BackgroundWork(Generic[T]):
    """Work in a thread of its own, begun at once."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work: Callable[[], T] | None = work
        self._results: list[T] = []
        self._errors: list[BaseException] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vitctl-background", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            assert self._work is not None
            self._results.append(self._work())
        except BaseException as error:
            self._errors.append(error)
        finally:
            self._work = None  # what it holds is let go of
            self._over.set()

    def result(self, *, gives_up: Callable[[], bool] = lambda: False) -> T:
        """What the work returns, or raises; this thread hears of signals meanwhile. Raises
        Abandoned as soon as `gives_up` says so. Once: what it returned is not kept."""
        try:
            while not self._over.wait(_LOOK_EVERY_S):
                if gives_up():
                    raise Abandoned
        except BaseException:
            self.abandon()
            raise
        self._thread.join()
        self.raise_error()
        return self._results.pop()  # who asked has it; here it would lie for as long as this does

    def raise_error(self) -> None:
        """Raise what the work has raised; nothing if it goes on, or has ended well."""
        if self._over.is_set() and self._errors:
            raise self._errors[0]

    def abandon(self) -> None:
        """Nobody waits for it any more but the interpreter's end."""
        if not self._thread.is_alive() or self._thread in _left:
            return
        if not _left:  # who ends by the interpreter's end, not by `leave_now`, waits after all
            atexit.register(_wait)
        _left.append(self._thread)


def unless_abandoned(work: Callable[[], T], *, gives_up: Callable[[], bool]) -> T:
    """What `work` returns, or raises, in a thread beside this one, which hears of signals
    meanwhile. Raises Abandoned as soon as `gives_up` says so."""
    return BackgroundWork(work).result(gives_up=gives_up)


def _wait() -> None:
    for thread in _left:
        thread.join()


def under_way() -> bool:
    """Whether abandoned work goes on: Python must not take itself apart below it, which crashes."""
    return any(thread.is_alive() for thread in _left)
