"""Where Python can raise nothing, but only report it: in finalizers and in callbacks of the garbage
collector. jax has one of those, and importing collects a lot."""

from __future__ import annotations

import _thread
import sys
import threading
import time

from vitctl.signals.ownership import Interrupted, called, owner, soon

_POLL_S = 0.01


def keep_interrupts() -> None:
    """Let Ctrl-C not get lost there."""
    before = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            before(unraisable)
            return
        command = owner()
        if command is not None and issubclass(unraisable.exc_type, Interrupted):
            command.interrupt_again()
            return
        # Not at once: it would be raised in here and lost again.
        soon(interrupt)

    def interrupt() -> None:
        """Once the main thread has left the hook, however slow the machine."""
        main = threading.main_thread().ident
        while hook.__code__ in called(sys._current_frames().get(main or 0)):
            time.sleep(_POLL_S)
        _thread.interrupt_main()

    sys.unraisablehook = hook
