"""How long tests wait for what comes as soon as a processor is free."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 600
"""Other programs may keep every processor for minutes; only a test that fails waits as long."""


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for an observed state. `what` says what did not happen, where it never came."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(what)
        time.sleep(0.005)
