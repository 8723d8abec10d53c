"""A checkpoint that unfinished work begins from is held against thinning out.

    <run>/pins/<step>-<first 16 of the id of the run that begins there>   holds that run's path

A cooldown names the checkpoint of the trunk that it begins from, also when it is continued; the
trunk may train on meanwhile and thin its checkpoints out. It looks here first. A pin whose run is
gone holds nothing.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from vitctl.artifacts.files import RUN, write_atomic

PINS = "pins"

_SHORT = 16


def pin(run: Path, step: int, *, by: Path, id: str) -> None:
    """Hold a step of `run` for the run at `by`, which has this id."""
    place = run / PINS / _name(step, id)
    # Where nothing may be written nobody thins out either.
    with suppress(OSError):
        place.parent.mkdir(exist_ok=True)
        write_atomic(place, os.fsencode(by.resolve()))


def unpin(run: Path, step: int, *, id: str) -> None:
    """The run of this id is finished, or begins elsewhere."""
    with suppress(OSError):
        (run / PINS / _name(step, id)).unlink(missing_ok=True)


def pinned(run: Path) -> set[int]:
    """The steps of `run` that unfinished work begins from."""
    try:
        found = list((run / PINS).iterdir())
    except OSError:
        return set()
    return {int(place.name.partition("-")[0]) for place in found if _holds(place)}


def _name(step: int, id: str) -> str:
    return f"{step}-{id[:_SHORT]}"


def _holds(place: Path) -> bool:
    step, dash, _ = place.name.partition("-")
    if not (step.isdecimal() and dash):  # half of a write, or anybody's
        return False
    try:
        return (Path(os.fsdecode(place.read_bytes())) / RUN).exists()
    except (OSError, ValueError):
        return False
