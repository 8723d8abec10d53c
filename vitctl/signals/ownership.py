"""The signals of a command that the same command continues, from its first moment to its last.

What the first one does depends on what the main thread is at:

    BETWEEN    Interrupted is raised in it, as Ctrl-C is; also in a loop that has nothing to save
    LOOP       a stop is requested; the loop finishes its step and saves (loops.py)
    UNWINDING  (Interrupted is on its way out, and releases locks and leases)
    SETTLED    nothing: the answer is printed, or an error reported

Python calls handlers in the main thread alone, and not before code that is no Python returns. So
another thread reads the signals as they come: it ends the process if the main thread does not hear
of the first one, or does not come out, and at once on a second one.
"""

from __future__ import annotations

import _thread
import atexit
import enum
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from types import CodeType, FrameType

from vitctl.signals.stop import SIGNALS, Insisting, Stop, heeded

_SOON_S = 0.02
# Most steps are over sooner, and say so by ending.
_PATIENCE_S = 1.0
# Compiling is done in C++. People wait no longer before they insist.
_DEAF_S = 2.5
# Downloads that are under way are awaited; clusters kill after 30 s.
_UNWINDING_S = 20.0


class Interrupted(KeyboardInterrupt):
    """The first signal, outside loops that poll for it. Not an Exception: nobody may take it for a
    failure of what they tried."""


class Phase(enum.Enum):
    BETWEEN = enum.auto()
    LOOP = enum.auto()
    UNWINDING = enum.auto()
    SETTLED = enum.auto()


class Owner:
    """The command that owns this process's signals."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self.leave = leave
        """Ends the process, from any thread, with a word and exit code 10."""
        self.acknowledge: Callable[[], None] = lambda: None
        """Says, from any thread, that the first signal was heard and what is awaited."""
        self.phase = Phase.BETWEEN
        self.stop: Stop | None = None
        """Of the loop, in LOOP."""
        self.began = False
        """Whether a loop began that saves what it does."""
        self._heard: int | None = None
        """The first signal as the other thread heard of it, `_received` as the main thread did."""
        self._received: int | None = None
        self._insists = Insisting()
        self._own = 0
        """How many signals are to come that this process sends itself."""

    @property
    def has_signal(self) -> bool:
        """Whether the main thread received a signal."""
        return self._received is not None

    @property
    def name(self) -> str:
        """Of the first signal."""
        number = self._received or self._heard
        return "nobody" if number is None else signal.Signals(number).name

    # In the main thread

    def handle(self, number: int, frame: FrameType | None) -> None:
        """A signal's handler."""
        if self.has_signal:
            return  # the other thread, which did not wait for this one, judges it
        self._received = number
        if self.stop is not None:
            self.stop.signal = number
        elif self.phase is Phase.BETWEEN:
            if _loads_native_code(frame):
                # jaxlib crashes if a part of its beginning fails. Nothing is locked yet.
                soon(self._leave)
            else:
                self.interrupt()

    def interrupt(self) -> None:
        """Raises Interrupted."""
        self.phase = Phase.UNWINDING
        raise Interrupted

    def interrupt_again(self) -> None:
        """What was raised got lost."""
        number = signal.Signals(self._received or signal.SIGINT)
        self._received, self.phase = None, Phase.BETWEEN
        self._own += 1
        # Not at once: it would be raised where the first one was, and lost again.
        soon(partial(_thread.interrupt_main, number))

    # In the other thread

    def watch(self, signals: int) -> None:
        """Read the numbers of signals as they come, whatever the main thread does."""
        while numbers := os.read(signals, 64):
            for number in numbers:
                if number not in SIGNALS:
                    continue
                if self._own:
                    self._own -= 1
                    continue
                self._insists.after(number)
                if self._heard is None:
                    self._heard = number
                    soon(self._acknowledge, after_s=_PATIENCE_S)
                    soon(self._leave_if_deaf, after_s=_DEAF_S)
                    soon(self._leave_if_unwinding, after_s=_UNWINDING_S)

    def _acknowledge(self) -> None:
        if self.phase is Phase.LOOP:
            self.acknowledge()

    def _leave_if_deaf(self) -> None:
        if not self.has_signal:
            self._leave()

    def _leave_if_unwinding(self) -> None:
        if self.phase is Phase.UNWINDING:
            self._leave()

    def _leave(self) -> None:
        if self.phase in (Phase.BETWEEN, Phase.UNWINDING):
            self.leave()


_owner: Owner | None = None


def own_signals(leave: Callable[[], None]) -> None:
    """From here on the first signal does what is said above. `leave` ends the process from another
    thread, with a word and exit code 10."""
    global _owner
    numbers = heeded()
    if not numbers:
        return
    _owner = Owner(leave)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    threading.Thread(
        target=_owner.watch, args=(reading,), name="vitctl-signals", daemon=True
    ).start()
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in numbers:
        signal.signal(number, _owner.handle)
    os.register_at_fork(after_in_child=_disown)
    # Python takes its handlers away before it takes itself apart, which takes a second. This is
    # the last of its functions to be called at the end, as it is the first that was registered.
    atexit.register(_ignore)


def owner() -> Owner | None:
    """The command that owns the signals; None if Python's defaults hold."""
    return _owner


def settle() -> None:
    """How the command ends is settled: a first signal changes nothing any more."""
    if _owner is not None:
        _owner.phase = Phase.SETTLED


def go_on() -> None:
    """There is more to do, unless a signal came meanwhile: then Interrupted is raised."""
    if _owner is not None:
        _owner.phase = Phase.BETWEEN
    raise_if_asked()


def raise_if_asked() -> None:
    """Raise Interrupted if a signal came that nobody has answered, as to a loop that had just come
    to its end."""
    if _owner is not None and _owner.has_signal:
        _owner.interrupt()


def _disown() -> None:
    """A forked child is not the command: its signals, and what it hears of them, are its own."""
    global _owner
    if _owner is None:
        return
    _owner = None
    with suppress(ValueError):  # forked by another thread
        signal.set_wakeup_fd(-1)
        for number, default in (
            (signal.SIGINT, signal.default_int_handler),
            (signal.SIGTERM, signal.SIG_DFL),
            (signal.SIGHUP, signal.SIG_DFL),
        ):
            if number in heeded():
                signal.signal(number, default)


def _ignore() -> None:
    if _owner is not None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def _loads_native_code(frame: FrameType | None) -> bool:
    """Whether an extension module is being loaded, in this frame or in one that waits for it."""
    return any(code.co_qualname.startswith("ExtensionFileLoader.") for code in called(frame))


def called(frame: FrameType | None) -> Iterator[CodeType]:
    """The functions that are being called, from this frame to those that wait for it."""
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back


def soon(call: Callable[[], None], *, after_s: float = _SOON_S) -> None:
    """Call it then from a thread of its own, unless the process has ended."""

    def later() -> None:
        time.sleep(after_s)
        call()

    # Not a threading.Timer: its `start` waits for the thread, on a busy machine longer than that
    # sleeps, and what is then raised in here would be lost.
    _thread.start_new_thread(later, ())
