"""What C and C++ libraries write to descriptor 2, caught in the process that draws the display.

libpng repeats its warning with each epoch, XLA and absl write banners: straight onto the terminal
that would tear the live view, and fill a log for ever. So descriptor 2 becomes a socket, a thread
reads it, and a line of each kind is shown once, through the display; how often it came is said at
the end. Our own stderr has a descriptor of its own (`streams`).

Last words must not get lost: a process that dies in C++ takes its threads with it. The thread only
looks at what lies in the socket until it has shown it, and a shell that waits for this process's
end copies to the terminal what is still there.

A library that writes while it holds Python's lock would wait for the thread, and the thread for the
lock: the socket is one that drops what it has no room for.
"""

from __future__ import annotations

import array
import faulthandler
import fcntl
import os
import socket
import termios
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from vitctl import native_log
from vitctl.console.text import safe

ALL = "VITCTL_NATIVE_STDERR"
"""Set to `all`, this variable of the environment lets everything through, for debugging."""
_MOST_KINDS = 20
"""Kinds that are shown; of what has more, the rest is only counted."""
_SHOWN_CHARACTERS = 300
_AGAIN = 5
"""Kinds whose repetitions are listed at the end."""
_BLOCK_BYTES = 2**16
_BUFFER_BYTES = 2**20
_HALF_A_LINE_S = 0.2
"""How long a line without its end may wait for it."""
_LAST_WORDS_S = 5.0
"""So long after the beginning of a crash every line passes; who lives on was not crashing."""
_CATCH_UP_S, _LEAVE_S = 0.2, 1.0
_OUT, _ERR = 1, 2
# Signals that are meant for the command reach the whole group of a terminal. An ordinary end is
# announced by a line; without one this process is gone, and what it did not show is copied.
_KEEPER = 'trap "" HUP INT QUIT TERM; read -r end <&3 && exit; exec cat <&4 >&2'

Show = Callable[[str], None]


class NativeOutput:
    """Catches descriptors 2 and, where it means the same, 1, from `begin` to `end`."""

    def __init__(self, show: Show, *, terminal: int, errors_only: Callable[[], bool]) -> None:
        """`show` displays a sentence, from any thread; `terminal` is the descriptor of the real
        stderr. While `errors_only()`, nothing but errors is written, straight to it."""
        self._show, self._terminal, self._errors_only = show, terminal, errors_only
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._crashing_until = 0.0
        self._ending = threading.Lock()
        self._ended = False

    # Catching

    def begin(self) -> None:
        """From here on descriptor 2 is caught."""
        self._reading, self._writing = socket.socketpair()
        self._writing.setblocking(False)
        with suppress(OSError):
            self._writing.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        self._life = self._start_keeper()
        if _same_file(_OUT, _ERR):
            os.dup2(self._writing.fileno(), _OUT)
        os.dup2(self._writing.fileno(), _ERR)
        if faulthandler.is_enabled():  # by the user; it kept the number 2
            faulthandler.enable(self._terminal)
        self._thread = threading.Thread(target=self._read, name="vitctl-stderr", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Show what came, and how often; descriptor 2 is the terminal again. From any thread, and
        again without effect."""
        if not self._ending.acquire(timeout=_LEAVE_S):
            return
        try:
            if self._ended:
                return
            self._ended = True
            if _same_file(_OUT, self._writing.fileno()):
                os.dup2(self._terminal, _OUT)
            os.dup2(self._terminal, _ERR)
            self._writing.close()
            self._thread.join(_LEAVE_S)
            if self._thread.is_alive():  # a child still has the other end
                with suppress(OSError):
                    self._reading.shutdown(socket.SHUT_RD)
                self._thread.join(_LEAVE_S)
            self.tell_repeated()
            if self._life is not None:
                with suppress(OSError):
                    os.write(self._life, b"end\n")
                os.close(self._life)
            self._reading.close()
        finally:
            self._ending.release()

    def _start_keeper(self) -> int | None:
        """The descriptor whose closing tells the keeper that this process is gone; None where
        there is no shell, and last words may get lost."""
        gone, life = os.pipe()
        # Out of the way of the numbers that the shell gets them as.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (gone, self._reading.fileno())]
        null = os.open(os.devnull, os.O_RDWR)
        actions = [
            (os.POSIX_SPAWN_DUP2, null, 0),
            (os.POSIX_SPAWN_DUP2, null, 1),
            (os.POSIX_SPAWN_DUP2, self._terminal, 2),
            (os.POSIX_SPAWN_DUP2, high[0], 3),
            (os.POSIX_SPAWN_DUP2, high[1], 4),
        ]
        environment = {"PATH": os.environ.get("PATH", os.defpath)}
        try:
            os.posix_spawn("/bin/sh", ["sh", "-c", _KEEPER], environment, file_actions=actions)
        except OSError:
            os.close(life)
            return None
        finally:
            for descriptor in (gone, null, *high):
                os.close(descriptor)
        return life

    # Reading

    def _read(self) -> None:
        waited = 0.0
        while True:
            try:
                data = self._reading.recv(_BLOCK_BYTES, socket.MSG_PEEK)
            except OSError:
                return
            if not data:
                return
            whole = data.rfind(b"\n") + 1
            if not whole and len(data) < _BLOCK_BYTES and waited < _HALF_A_LINE_S:
                time.sleep(_HALF_A_LINE_S / 4)
                waited += _HALF_A_LINE_S / 4
                continue
            waited, whole = 0.0, whole or len(data)
            for line in data[:whole].splitlines(keepends=True):
                self._take(line.decode("utf-8", "replace").rstrip("\r\n"))
                self._reading.recv(len(line), socket.MSG_WAITALL)

    def _take(self, line: str) -> None:
        now = time.monotonic()
        if native_log.is_crash(line):
            self._crashing_until = now + _LAST_WORDS_S
        if now < self._crashing_until:
            self._write(line)
            return
        kind, text = native_log.kind(line), native_log.text(line)
        if kind is None or text is None:
            return
        self._counts[kind] += 1
        if self._counts[kind] > 1:
            return
        self._first[kind] = text[:_SHOWN_CHARACTERS]
        if self._errors_only():
            if native_log.is_error(line):
                self._write(line)
            return
        if len(self._counts) == _MOST_KINDS + 1:
            self._try_to_show("libraries write many kinds of messages; the rest is only counted")
        elif len(self._counts) <= _MOST_KINDS:
            self._try_to_show(f"a library writes: {self._first[kind]}")

    def _try_to_show(self, sentence: str) -> None:
        try:
            self._show(sentence)
        except Exception:  # the display is gone: the words are what matters
            self._write(sentence)

    def _write(self, line: str) -> None:
        with suppress(OSError):
            os.write(self._terminal, f"{safe(line)}\n".encode())

    def tell_repeated(self) -> None:
        """Show how often lines came again, since the last call."""
        self._catch_up()
        repeated = [(kind, n) for kind, n in self._counts.most_common() if n > 1]
        for kind, _ in repeated:
            self._counts[kind] = 1
        if not repeated or self._errors_only():
            return
        listed = [f"{n:,} x {self._first[kind]}" for kind, n in repeated[:_AGAIN]]
        more = f"; and {len(repeated) - _AGAIN} more" if len(repeated) > _AGAIN else ""
        self._try_to_show(f"libraries repeated themselves: {'; '.join(listed)}{more}")

    def _catch_up(self) -> None:
        """Wait, not long, until the thread has read what there is."""
        until = time.monotonic() + _CATCH_UP_S
        pending = array.array("i", [1])
        while self._thread.is_alive() and time.monotonic() < until:
            fcntl.ioctl(self._reading, termios.FIONREAD, pending)
            if not pending[0]:
                return
            time.sleep(_CATCH_UP_S / 20)


def wanted() -> bool:
    """Whether to catch. Not in the first process of a container: nothing there outlives it, to
    show its last words."""
    return os.environ.get(ALL, "").lower() != "all" and os.getpid() != 1


def _same_file(one: int, other: int) -> bool:
    return os.path.sameopenfile(one, other)
