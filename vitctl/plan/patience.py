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

from vitctl.signals import under_way, unless_abandoned

T = TypeVar("T")


def interruptible(call: Callable[[], T]) -> T:
    """The value of `call`, or its exception, from a thread of its own; elsewhere than in the main
    thread, which alone gets signals, just called.

    On KeyboardInterrupt the call goes on, as nothing can stop it. A process that ends meanwhile
    ends at once, with 130: a plan writes nothing that is worth waiting for, and libraries that are
    torn down while a thread is in them crash.
    """
    if threading.current_thread() is not threading.main_thread():
        return call()
    try:
        return unless_abandoned(call, gives_up=lambda: False)
    except BaseException:
        if under_way():
            atexit.register(_leave)  # the last one registered is called first
        raise


def _leave() -> None:
    if not under_way():
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(130)
