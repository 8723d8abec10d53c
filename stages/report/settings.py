"""What a user gives -> the request of `vitctl report`; needs no terminal."""

from __future__ import annotations

from pathlib import Path

from stages.report.spec import DEFAULT, PageRequest


def resolve(
    *, out: Path | str | None, title: str | None, parents: bool, force: bool
) -> PageRequest:
    """The request. Raises UsageError for a file that is no page, OverwriteError for a folder."""
    return PageRequest(DEFAULT if out is None else Path(out), title, parents, force)
