"""What a user gives -> the request of `vitctl replay`; needs no terminal."""

from __future__ import annotations

from pathlib import Path

from stages.replay.spec import Request
from vitctl.text.quantities import parse_count


def resolve(
    *, step: int | str | None, first: int | None, out: Path | str | None, force: bool
) -> Request:
    """The request. Raises UsageError for numbers that name nothing, or a file that holds neither a
    picture nor arrays; OverwriteError for one that is there."""
    return Request(
        step=None if step is None else parse_count(str(step), name="--step"),
        first=first,
        file=None if out is None else Path(out),
        force=force,
    )
