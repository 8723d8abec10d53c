"""Ctrl-C where the main thread is in code that is no Python, which tells it of no signal: a
compiler. For commands that do not own their signals, which end of a KeyboardInterrupt."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from vitctl.signals import ownership

_END = b"\0"
"""No signal's number."""


@contextmanager
def ending_if_deaf(leave: Callable[[], None]) -> Iterator[None]:
    """Within this block the first SIGINT ends the process, with 130 and after `leave`, if the main
    thread has not heard of it in time. Elsewhere than in the main thread, and where somebody else
    handles or ignores SIGINT, nothing changes."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    heard = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        heard.set()
        signal.default_int_handler(number, frame)

    def watch() -> None:
        while _END not in (numbers := os.read(reading, 64)):
            if signal.SIGINT not in numbers:
                continue
            if not heard.wait(ownership._DEAF_S):
                with suppress(Exception):
                    leave()
                os._exit(128 + signal.SIGINT)
            return

    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    thread = threading.Thread(target=watch, name="vitctl-sigint", daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        heard.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.set_wakeup_fd(before)
        os.write(writing, _END)
        thread.join()
        os.close(reading)
        os.close(writing)
