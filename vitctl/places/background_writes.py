"""Writes to a bucket in the background: what a run reports between its checkpoints.

Training neither waits for them nor ends with them. Of several for one object the newest counts.
"""

from __future__ import annotations

import threading
from contextlib import suppress

from vitctl.errors import InterruptedRun, OutOfReachError
from vitctl.places import buckets
from vitctl.places.address import Address

_changed = threading.Condition()
_waiting: dict[Address, bytes] = {}
_sending: set[Address] = set()
_working = False


def write_behind(path: Address, content: bytes) -> None:
    """Put an object sometime soon; if that fails it is left out."""
    global _working
    with _changed:
        _waiting[path] = content
        if not _working:
            _working = True
            threading.Thread(target=_send, name="write-behind", daemon=True).start()


def write_now(path: Address, content: bytes) -> None:
    """Put an object after, and instead of, what waits for it."""
    with _changed:
        _waiting.pop(path, None)
        _changed.wait_for(lambda: path not in _sending)
    buckets.write(path, content)


def _send() -> None:
    global _working
    while True:
        with _changed:
            if not _waiting:
                _working = False
                return
            path = next(iter(_waiting))
            content = _waiting.pop(path)
            _sending.add(path)
        try:
            with suppress(OutOfReachError, InterruptedRun, OSError):
                buckets.write(path, content)
        finally:
            with _changed:
                _sending.discard(path)
                _changed.notify_all()
