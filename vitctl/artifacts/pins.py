"""A checkpoint that unfinished work begins from is held against thinning out.

    <run>/pins/<step>-<first 16 of the id of the run that begins there>   holds that run's path

A cooldown names the checkpoint of the trunk that it begins from, also when it is continued; the
trunk may train on meanwhile and thin its checkpoints out. It looks here first. A pin whose run is
gone holds nothing.
"""

from __future__ import annotations

import os
from contextlib import suppress

from vitctl.artifacts.files import RUN, write_atomic
from vitctl.errors import DeniedError, UsageError
from vitctl.places import Place, children, place

PINS = "pins"

_SHORT = 16


def pin(run: Place, step: int, *, by: Place, id: str) -> None:
    """Hold a step of `run` for the run at `by`, which has this id."""
    file = run / PINS / _name(step, id)
    # Where nothing may be written nobody thins out either.
    with suppress(OSError, DeniedError):
        file.parent.mkdir(exist_ok=True)
        write_atomic(file, os.fsencode(str(by.resolve())))


def unpin(run: Place, step: int, *, id: str) -> None:
    """The run of this id is finished, or begins elsewhere."""
    with suppress(OSError, DeniedError):
        (run / PINS / _name(step, id)).unlink(missing_ok=True)


def pinned(run: Place) -> set[int]:
    """The steps of `run` that unfinished work begins from."""
    try:
        found = children(run / PINS)
    except OSError:
        return set()
    return {int(pin.name.partition("-")[0]) for pin in found if _holds(pin)}


def _name(step: int, id: str) -> str:
    return f"{step}-{id[:_SHORT]}"


def _holds(pin: Place) -> bool:
    step, dash, _ = pin.name.partition("-")
    if not (step.isdecimal() and dash):  # half of a write, or anybody's
        return False
    try:
        return (place(os.fsdecode(pin.read_bytes())) / RUN).is_file()
    except (OSError, ValueError, UsageError):
        return False
