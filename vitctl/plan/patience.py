"""Waiting for a compiler in such a way that Ctrl-C ends the wait.

A compiler works for minutes in C++, and Python tells no one of a signal until it returns.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


def interruptible(call: Callable[[], T]) -> T:
    """The value of `call`, or its exception, from a thread of its own; elsewhere than in the main
    thread, which alone gets signals, just called.

    On KeyboardInterrupt the call goes on, as nothing can stop it. A process that ends meanwhile
    ends at once, with 130: libraries that are torn down while a thread is in them crash.
    """
    if threading.current_thread() is not threading.main_thread():
        return call()
    values: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            values.append(call())
        except BaseException as error:  # raised again where it is waited for
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        thread.join()
    except BaseException:
        atexit.register(_leave, thread)
        raise
    if errors:
        raise errors[0]
    return values[0]


def _leave(thread: threading.Thread) -> None:
    if not thread.is_alive():
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(130)
