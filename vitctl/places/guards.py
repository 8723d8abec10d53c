"""What must hold before something below a path is published, replaced or removed.

Whoever holds a lock that another process may take over (a heartbeat, a lease) enters a check for
the folder here; what changes something asks for it first. In a bucket each request does so itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vitctl.places.address import Address

_checks: dict[Path | Address, Callable[[], None]] = {}


@contextmanager
def guarded(folder: Path | Address, check: Callable[[], None]) -> Iterator[None]:
    """`check` raises once the lock of `folder` is lost."""
    _checks[folder] = check
    try:
        yield
    finally:
        _checks.pop(folder, None)


def check(path: Path | Address) -> None:
    """Raise what the checks of the folders above raise."""
    for folder, still_holds in list(_checks.items()):
        if isinstance(path, Path) is isinstance(folder, Path) and path.is_relative_to(folder):  # type: ignore[arg-type]
            still_holds()
