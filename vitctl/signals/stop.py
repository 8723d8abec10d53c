"""Whether a stop was requested, and whether a second signal insists."""

from __future__ import annotations

import os
import signal
import time

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The last one says that the terminal was closed, or the connection to it lost."""
# Programs such as coreutils' timeout signal a process and then its group: one signal comes twice.
_TWICE_S = 0.5


class Stop:
    """Whether a stop was requested. A stage polls `requested` between steps."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self.insists = Insisting()

    @property
    def requested(self) -> bool:
        return self.signal is not None

    def after(self, step: int) -> bool:
        """Whether to stop after `step` finished steps. A loop calls this after each."""
        return self.requested

    @property
    def breaks_off(self) -> bool:
        """Whether to break off, now, what can be done again."""
        return self.requested

    @property
    def reason(self) -> str:
        return signal.Signals(self.signal).name if self.signal is not None else "nobody"


class Insisting:
    """Ends the process when a second signal comes.

    A signal has come when Python hears of it: two that come while code that is no Python holds
    its lock are one.
    """

    def __init__(self) -> None:
        self._first: int | None = None
        self._at = 0.0

    def after(self, number: int) -> None:
        """A signal came."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._at = number, now
        elif number == signal.SIGHUP:
            return  # the shell and the system both send it; nobody is there to insist
        elif number != self._first or now - self._at > _TWICE_S:
            # os._exit: no finalizer may write again after the user insisted.
            os._exit(128 + number)


def heeded() -> list[signal.Signals]:
    """The signals that this process was not started to ignore, as a shell's background jobs are."""
    return [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
