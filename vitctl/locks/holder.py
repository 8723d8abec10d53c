"""Which process holds something, and whether it is gone.

A process id alone names no process: it is given again. With the time of its start, in a boot of one
machine and in one space of process ids (a container has its own), it does.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Holder:
    """A process.

    Attributes:
      host: the machine's name, for people.
      world: the machine's boot and its space of process ids: what two processes share that can see
        each other's ids. None where the system doesn't tell.
      pid: its process id there.
      since: when it started, in clock ticks since boot; None where that isn't known.
    """

    host: str
    world: str | None
    pid: int
    since: str | None

    @classmethod
    def this(cls) -> Holder:
        return cls(platform.node(), world(), os.getpid(), started(os.getpid()))

    @property
    def is_gone(self) -> bool:
        """Whether the process is known to have ended: it ran in this very world, and there is none
        of its id now, or one that started at another time."""
        if self.world is None or self.world != world() or self.pid <= 0:
            return False
        now = started(self.pid)
        return now is None or (self.since is not None and now != self.since)


def world() -> str | None:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def started(pid: int) -> str | None:
    """When a process started; None if there is none, or only its exit code is left."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return None
