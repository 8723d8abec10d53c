"""First SIGINT or SIGTERM: finish the step, save, exit 10. A second: stop now (130, 143).

A loop that saves asks between its steps (`graceful`). A command that the same command continues
owns the signals from its first moment on (`own`): where no such loop is, the first one is raised in
the main thread, as Ctrl-C is; and if that thread does not come to it, because it waits in code that
is no Python, another one ends the process.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_SOON_S = 0.02
_BOTH = (signal.SIGINT, signal.SIGTERM)
# Long enough to release a lock in a bucket; clusters kill after 30 s.
_GRACE_S = 5.0
# Programs such as coreutils' timeout signal a process and then its group: one signal comes twice.
_ONE_S = 0.5


class Interrupted(KeyboardInterrupt):
    """The first signal, where no loop asks for it. Not an Exception: nobody may take it for a
    failure of what they tried."""


class Insisting:
    """Ends the process when a second signal comes."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._at = 0.0

    def after(self, number: int) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first, self._at = number, now
        elif number != self._first or now - self._at > _ONE_S:
            # os._exit: no finalizer may write again after the user insisted.
            os._exit(128 + number)


class Stop:
    """Whether someone asked to stop. A stage polls `requested` between steps."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self.insists = Insisting()

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


class Owner:
    """The command that owns this process's signals; see `own`."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self.leave = leave
        """Ends the process, from any thread, with a word and exit code 10."""
        self.heard: int | None = None
        """The first signal as the thread heard of it, `received` as the main thread did."""
        self.received: int | None = None
        self.began = False
        """Whether a loop began that saves what it does."""
        self.over = False
        """Whether the command is ending anyway, so that a first signal changes nothing."""
        self.stop: Stop | None = None
        """Of the loop that is under way."""
        self._asked = False
        self._insists = Insisting()

    @property
    def name(self) -> str:
        number = self.received or self.heard
        return "nobody" if number is None else signal.Signals(number).name

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            return  # the thread, which knows when it came, judges it
        self.received = number
        if self.stop is not None:
            self.stop.signal, self._asked = number, True
        elif not self.over:
            if _imports_native_code(frame):
                # jaxlib crashes if a part of its beginning fails.
                self.leave_soon()
                return
            raise Interrupted

    def leave_soon(self) -> None:
        """From another thread: this one may be anywhere, in the middle of a print too."""
        _soon(self.leave)

    def watch(self, signals: int) -> None:
        """Read the numbers of signals as they arrive, whatever the main thread does."""
        while numbers := os.read(signals, 64):
            for number in numbers:
                if number not in _BOTH:
                    continue
                self._insists.after(number)
                if self.heard is None:
                    self.heard = number
                    _soon(self._leave, after_s=_GRACE_S)

    def _leave(self) -> None:
        if not (self.over or self.stop is not None or self._asked):
            self.leave()


_owner: Owner | None = None


def own(leave: Callable[[], None]) -> None:
    """From here on the first signal is raised as Interrupted in the main thread, outside of
    `graceful`. `leave` ends the process from another thread where that does not happen in time."""
    global _owner
    _owner = Owner(leave)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    threading.Thread(
        target=_owner.watch, args=(reading,), name="vitctl-signals", daemon=True
    ).start()
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in _BOTH:
        signal.signal(number, _owner.handle)
    os.register_at_fork(after_in_child=_disown)


def owner() -> Owner | None:
    """The command that owns the signals; None if Python's defaults hold."""
    return _owner


def end() -> None:
    """The command is ending: a first signal changes nothing any more."""
    if _owner is not None:
        _owner.over = True


def check() -> None:
    """Raise Interrupted if a loop was asked to stop that had just come to its end."""
    if _owner is not None and _owner.received is not None:
        raise Interrupted


@contextmanager
def graceful(stop: Stop | None = None) -> Iterator[Stop]:
    """Within this block the first signal only asks; outside the main thread nothing changes. `stop`
    is that of a block before, if this one goes on with its work."""
    stop = stop or Stop()
    if _owner is not None:
        with _in_loop(_owner, stop):
            yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        stop.insists.after(number)
        stop.signal = stop.signal or number

    try:
        before = {s: signal.signal(s, handle) for s in _BOTH}
    except ValueError:  # not the main thread: the embedding program owns the signals
        yield stop
        return
    try:
        yield stop
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def _in_loop(owner: Owner, stop: Stop) -> Iterator[None]:
    if not stop.requested:
        check()  # what was raised may have got lost
    owner.stop, owner.began = stop, True
    try:
        yield
    finally:
        owner.stop = None


def _disown() -> None:
    """A forked child is not the command: its signals, and what it hears of them, are its own."""
    global _owner
    if _owner is None:
        return
    _owner = None
    with suppress(ValueError):  # forked by another thread
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def keep_interrupts() -> None:
    """Let Ctrl-C not get lost where Python can raise nothing, but only report it: in finalizers and
    in callbacks of the garbage collector. jax has one of those, and importing collects a lot."""
    before = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            # Not at once: it would be raised in here and lost again.
            if _owner is not None and issubclass(unraisable.exc_type, Interrupted):
                _owner.leave_soon()
            else:
                _soon(_thread.interrupt_main)
        else:
            before(unraisable)

    sys.unraisablehook = hook


def _imports_native_code(frame: FrameType | None) -> bool:
    """Whether an extension module is being loaded, in this frame or in one that waits for it."""
    while frame is not None:
        if frame.f_code.co_qualname.startswith("ExtensionFileLoader."):
            return True
        frame = frame.f_back
    return False


def _soon(call: Callable[[], None], *, after_s: float = _SOON_S) -> None:
    timer = threading.Timer(after_s, call)
    timer.daemon = True
    timer.start()
