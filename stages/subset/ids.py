"""A file of ids, one a line."""

from __future__ import annotations

from pathlib import Path

from stages.subset.spec import Ids
from vitctl.events import Emit


def read_ids(path: Path | None, *, option: str, emit: Emit) -> Ids | None:
    """The ids in a file that an option names, None where it names none."""
    if path is None:
        return None
    from vitctl.data.classes import read_names

    return Ids(tuple(read_names(path, option=option, emit=emit)), str(path))
