"""Times as manifests record them, for people."""

from __future__ import annotations

from datetime import UTC, datetime

from vitctl.text import quantities


def day(written: str) -> str:
    """The date in UTC of an ISO time; empty if it is none."""
    time = _time(written)
    if time is None:
        return ""
    return (time.astimezone(UTC) if time.tzinfo else time).date().isoformat()


def took(started: str, finished: str) -> str | None:
    """How long something worked, from two ISO times; None if they are none."""
    begin, end = _time(started), _time(finished)
    if begin is None or end is None or (begin.tzinfo is None) != (end.tzinfo is None):
        return None
    return quantities.duration((end - begin).total_seconds())


def _time(written: str) -> datetime | None:
    try:
        return datetime.fromisoformat(written)
    except ValueError:
        return None
