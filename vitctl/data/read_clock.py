"""How long reading records took, of the time that batches take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class ReadClock:
    """Seconds in which records were being read, added up by the thread that reads."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def reading(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - began
