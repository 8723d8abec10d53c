"""Event loops that end the reads that began in them.

orbax reads all arrays of a checkpoint at once in an event loop of asyncio, and closes that loop
when the first of them fails. tensorstore still reads the others, finds the loop closed, and prints
a trace for each: hundreds of lines above the sentence that says what is damaged.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _EndingLoop(asyncio.SelectorEventLoop):
    """Before it is closed it waits for what still runs in it. After Ctrl-C that is cancelled: a
    reader who wants to leave does not wait for gigabytes, a late trace is the lesser evil."""

    def close(self) -> None:
        hurries = not isinstance(sys.exception(), Exception | None)
        try:
            while not self.is_closed() and (tasks := asyncio.all_tasks(self)):
                if hurries:
                    for task in tasks:
                        task.cancel()
                self.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        finally:
            super().close()


class _Policy(asyncio.DefaultEventLoopPolicy):
    _loop_factory = _EndingLoop


@contextmanager
def ended() -> Iterator[None]:
    """Loops that are made in here are such loops; those of other threads, too, where it makes no
    difference unless they are closed with work left."""
    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(_Policy())
    try:
        yield
    finally:
        asyncio.set_event_loop_policy(before)
