"""First SIGINT or SIGTERM: finish the step, save, exit 10. A second: stop now (130, 143)."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SOON_S = 0.02


class Stop:
    """Whether someone asked to stop. A stage polls `requested` between steps."""

    def __init__(self) -> None:
        self.signal: int | None = None

    @property
    def requested(self) -> bool:
        return self.signal is not None

    def after(self, step: int) -> bool:
        """Whether to stop after `step` finished steps. A loop asks after each."""
        return self.requested

    @property
    def breaks_off(self) -> bool:
        """Whether to break off, now, what can be done again."""
        return self.requested

    @property
    def reason(self) -> str:
        return signal.Signals(self.signal).name if self.signal is not None else "nobody"


@contextmanager
def graceful() -> Iterator[Stop]:
    """Within this block the first signal only asks; outside the main thread nothing changes."""
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.signal is not None:
            # os._exit: no finalizer may write again after the user insisted.
            os._exit(128 + number)
        stop.signal = number

    try:
        before = {s: signal.signal(s, handle) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: the embedding program owns the signals
        yield stop
        return
    try:
        yield stop
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def keep_interrupts() -> None:
    """Let Ctrl-C not get lost where Python can raise nothing, but only report it: in finalizers and
    in callbacks of the garbage collector. jax has one of those, and importing collects a lot."""
    before = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            # Once more, and not at once: it would be raised in here and lost again.
            again = threading.Timer(_SOON_S, _thread.interrupt_main)
            again.daemon = True
            again.start()
        else:
            before(unraisable)

    sys.unraisablehook = hook
