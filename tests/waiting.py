"""How long tests wait for what comes as soon as a processor is free."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_S = 600
"""Other programs may keep every processor for minutes; only a test that fails waits as long."""


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for an observed state. `what` says what did not happen, where it never came."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(what)
        time.sleep(0.005)


def until_it_waits(pid: int) -> None:
    """Wait until a process's main thread sleeps, as it does in nothing but what it waits for."""
    stat, looks = Path(f"/proc/{pid}/task/{pid}/stat"), 0

    def asleep() -> bool:
        nonlocal looks
        looks = looks + 1 if stat.read_text().rpartition(")")[2].split()[0] == "S" else 0
        return looks == 5

    until(asleep, "it never came to wait")
