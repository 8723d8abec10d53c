"""Detects a process that hangs or died, and ends the processes that would wait for it forever.

A thread checks at intervals. It measures the seconds between its own checks; if a check comes late,
it counts only the usual interval: after a clock jumped, or this process or its machine was
suspended, nothing is overdue.

A process is
  gone       its beat stands still: killed, stopped, or cut off from the network
  hanging    it beats, and its main thread has begun nothing new for longer than its phase may take

Whoever is furthest behind holds up the others, so a hang is declared only when that one is overdue.
"""

from __future__ import annotations

import faulthandler
import math
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from vitctl.errors import InterruptedRun, VitctlError
from vitctl.processes.pulse import AGAIN, MainThread, Peer, Pulse, as_error, unreachable

# A step may take so many times the usual, but always so long: a file server that is restarted is
# back within minutes, and a false alarm costs a restart.
_TIMES, _FLOOR_S = 20.0, 300.0
# Starting, compiling and saving take long and report nothing meanwhile; a disk or a network
# that copies may stand still as long.
_SLOW_S = 1800.0
_STEADY = frozenset({"data", "step", "score"})
_SILENT_S = 60.0
# A healthy process may have no news for this many rounds: it wrote up to one round before it was
# read, and was read up to one round ago. Twice that: with many processes rounds take longer.
_SILENT_ROUNDS = 4
# In all that is more than so many ticks, or rounds, this process itself stood still, or was deaf.
_LATE = 2
# Long enough for a process that leaves by itself, or was slow to beat.
GRACE_S = 5.0
_TICK_S = 1.0
# What comes after so many finished steps, in this order.
_ORDER = ("wait", "copy", "start", "scoring", "score", "save", "data", "compile", "step", "end")

STACKS = "stacks"


class Watchdog:
    """Checks the processes from its own thread. `folder` gets the stacks, once there is a run."""

    def __init__(
        self,
        pulse: Pulse,
        *,
        hang_s: float | None,
        leave: Callable[[VitctlError], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`hang_s` bounds a step instead of what the steps themselves suggest; `leave` ends this
        process with an error's exit code, from any thread."""
        self.pulse, self.hang_s, self.leave = pulse, hang_s, leave
        self.folder: Path | None = None
        self.create: Callable[[Path], IO[str]] | None = None
        # Six looks within the time: one of them just before its end.
        self.tick_s = min(_TICK_S, (hang_s or _FLOOR_S) / 6)
        self._clock, self._looked = clock, clock()
        self._peers = list(pulse.peers)
        self._quiet_s, self._still_s = [0.0] * pulse.count, [0.0] * pulse.count
        """Seconds since each one's beat moved, and since its main thread began something."""
        self._rounds, self._deaf_s = 0, 0.0
        """Seconds since the coordination service last answered."""
        self._steps, self._steady_s = 0, 0.0
        """Number of steps that ended while the watchdog ran, and their seconds."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vitctl-watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Stop checking."""
        self._over.set()
        faulthandler.cancel_dump_traceback_later()

    def _run(self) -> None:
        while not self._over.wait(self.tick_s):
            # Code that holds Python's lock stops this thread, too; faulthandler's is no Python one.
            faulthandler.dump_traceback_later(self.silent_s + GRACE_S, file=_terminal())
            self.tick()
            if self.pulse.verdict is not None:
                # The main thread leaves by itself if it can: it holds locks and open files.
                if not self._over.wait(GRACE_S):
                    self.leave(self.pulse.verdict)
                return

    # Looking

    def tick(self) -> None:
        """Check once; an error becomes the pulse's verdict."""
        if self.pulse.verdict is not None:
            return
        self._count()
        if self.pulse.ended:
            self.pulse.verdict = as_error(self.pulse.ended[0])
        elif gone := [i for i, s in enumerate(self._quiet_s) if s >= self.silent_s]:
            self._end(self._gone_sentence(gone), dump=True)
        elif self._deaf_s >= self.silent_s:
            self._dump(aloud=False)
            self.pulse.verdict = unreachable()
        elif hanging := self._hanging():
            self._end(self._hanging_sentence(hanging), dump=True)

    @property
    def silent_s(self) -> float:
        """Seconds without a report after which a process counts as dead."""
        return max(min(_SILENT_S, self.hang_s or _SILENT_S), self._late_news_s)

    @property
    def _late_news_s(self) -> float:
        """Greatest age of the last report of a healthy process."""
        return _SILENT_ROUNDS * self.pulse.every_s

    def _passed_s(self) -> float:
        """Seconds since the last look."""
        now = self._clock()
        passed, self._looked = now - self._looked, now
        return min(max(passed, 0.0), _LATE * self.tick_s)

    def _count(self) -> None:
        passed_s = self._passed_s()
        heard = self.pulse.rounds != self._rounds
        self._rounds = self.pulse.rounds
        self._deaf_s += passed_s
        # A process is silent only while others are heard.
        more_s = min(self._deaf_s, _LATE * self.pulse.every_s) if heard else 0.0
        if heard:
            self._deaf_s = 0.0
        own = self.pulse.index
        for i, before in enumerate(self._peers):
            now = self.pulse.peers[i]
            if i == own:
                now = Peer(i, now.beat, now.host, now.pid, self.pulse.doing)
            moved = now.beat != before.beat or i == own
            self._quiet_s[i] = 0.0 if moved else self._quiet_s[i] + more_s
            began = now.doing.marks != before.doing.marks
            self._still_s[i] = 0.0 if began else self._still_s[i] + passed_s
            self._peers[i] = now
            if i == own and now.doing.phase in _STEADY:
                self._steady_s += passed_s
                self._steps += max(0, now.doing.step - before.doing.step)

    def limit_s(self, phase: str) -> float:
        """How long a main thread may be in a phase without beginning anything."""
        if phase == "wait":
            return math.inf
        usual = self._steady_s / self._steps if self._steps else 0.0
        steady = max(self.hang_s or max(_FLOOR_S, _TIMES * usual), self._late_news_s)
        return steady if phase in _STEADY else max(steady, _SLOW_S)

    def _hanging(self) -> list[int]:
        """The processes with the least progress, if this process waits and they are overdue."""
        own = self.pulse.index
        if self._still_s[own] < self.limit_s("step"):
            return []
        last = min(_position(peer.doing) for peer in self._peers)
        slowest = [i for i, peer in enumerate(self._peers) if _position(peer.doing) == last]
        overdue = all(self._still_s[i] >= self.limit_s(self._peers[i].doing.phase) for i in slowest)
        return slowest if overdue else []

    # Telling

    def _gone_sentence(self, gone: list[int]) -> str:
        peer = self._peers[gone[0]]
        more = f" (and {len(gone) - 1} more)" if len(gone) > 1 else ""
        return (
            f"{peer.named}{more} gave no sign of life for {self._quiet_s[gone[0]]:.0f} "
            f"s; it was {phrase(peer.doing)}"
        )

    def _hanging_sentence(self, hanging: list[int]) -> str:
        peer = self._peers[hanging[0]]
        for_s = f"for {self._still_s[hanging[0]]:.0f} s"
        if len(hanging) == self.pulse.count:
            return f"all processes have been {phrase(peer.doing)} {for_s}, and none is behind"
        more = f" (and {len(hanging) - 1} more)" if len(hanging) > 1 else ""
        return f"{peer.named}{more} has been {phrase(peer.doing)} {for_s}; the others wait for it"

    def _end(self, sentence: str, *, dump: bool) -> None:
        own = self._peers[self.pulse.index].doing
        guilty = all(_position(own) <= _position(peer.doing) for peer in self._peers)
        where = self._dump(aloud=guilty) if dump else None
        hint = f"{AGAIN}; stacks are in {where}" if where else AGAIN
        self.pulse.verdict = InterruptedRun(sentence, hint=hint)

    def _dump(self, *, aloud: bool) -> Path | None:
        """Write this process's stacks to its file; with `aloud` also to stderr."""
        if aloud:
            with suppress(OSError, ValueError):
                os.write(_terminal(), f"stacks of process {self.pulse.index}:\n".encode())
                faulthandler.dump_traceback(file=_terminal())
        if self.folder is None or self.create is None:
            return None
        create, folder, done = self.create, self.folder / STACKS, threading.Event()

        def write() -> None:
            with suppress(OSError, VitctlError):
                with create(folder / f"process-{self.pulse.index}.txt") as file:
                    print(f"{socket.gethostname()} pid {os.getpid()}", *sys.argv, file=file)
                    file.flush()
                    faulthandler.dump_traceback(file=file)
                done.set()

        # The store may be the very thing that hangs.
        threading.Thread(target=write, daemon=True).start()
        return folder if done.wait(GRACE_S) else None


def _terminal() -> int:
    """The descriptor of Python's stderr; 2 may be one that only catches what C++ code writes."""
    try:
        return sys.stderr.fileno()
    except (OSError, ValueError, AttributeError):
        return 2


def _position(doing: MainThread) -> tuple[int, int]:
    return doing.step, _ORDER.index(doing.phase)


def phrase(doing: MainThread) -> str:
    return {
        "wait": "waiting for another command",
        "copy": "copying images to its disk",
        "start": "starting",
        "compile": "compiling",
        "data": f"waiting for the images of step {doing.step + 1}",
        "step": f"in step {doing.step + 1}",
        "scoring": f"beginning to score after step {doing.step}",
        "score": f"scoring after step {doing.step}",
        "save": f"saving step {doing.step}",
        "end": "ending",
    }[doing.phase]
