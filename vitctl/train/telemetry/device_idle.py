"""When the devices finished a step, which the host does not know: it only queued it.

The host asks for the next batch while a step is under way. Only the part of its waiting in which
the devices had nothing left to do is a loss: with steps of 100 ms and batches every 150 ms the host
waits all the time, the devices a third of it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import jax


class StepEnds:
    """Follows steps on a thread of its own. Use as a context manager."""

    def __init__(self, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._under_way = 0
        self._ended = clock()
        self._lock = threading.Lock()

    def __enter__(self) -> StepEnds:
        self._thread = threading.Thread(target=self._follow, name="step-ends", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *rest: object) -> None:
        # A daemon, not joined: a step that hangs on another host must not keep this one.
        self._queue.put(None)

    def follow(self, result: Any) -> None:
        """`result` is an array of the step that was queued last."""
        with self._lock:
            self._under_way += 1
        self._queue.put(result)

    def under_way(self) -> int:
        """Steps that are queued and not finished."""
        with self._lock:
            return self._under_way

    def idle(self, *, since: float, now: float) -> float:
        """Seconds between two times in which no step was under way."""
        with self._lock:
            return 0.0 if self._under_way else max(0.0, now - max(since, self._ended))

    def _follow(self) -> None:
        while (result := self._queue.get()) is not None:
            # A step that failed has ended, too; who looks at its numbers meets the error.
            with suppress(Exception):
                jax.block_until_ready(result)
            with self._lock:
                self._under_way -= 1
                self._ended = self._clock()
            del result
