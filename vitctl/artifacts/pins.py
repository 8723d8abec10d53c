"""A checkpoint that unfinished work begins from is held against thinning out.

    <run>/pins/<step>-<first 16 of the id of the run that begins there>   holds that run's path

A cooldown names the checkpoint of the trunk that it begins from, also when it is continued; the
trunk may train on meanwhile and thin its checkpoints out. It looks here first. A pin whose run is
gone holds nothing.
"""

from __future__ import annotations

import os
from contextlib import suppress

from vitctl.artifacts.files import RUN, make_folder, remove, write_atomic
from vitctl.errors import DeniedError, UsageError
from vitctl.places import Place, children, place

PINS = "pins"

_SHORT = 16


def pin(run: Place, step: int, *, by: Place, id: str) -> None:
    """Hold a step of `run` for the run at `by`, which has this id."""
    file = run / PINS / _name(step, id)
    # Where nothing may be written nobody thins out either.
    with suppress(OSError, DeniedError):
        make_folder(file.parent)
        write_atomic(file, os.fsencode(str(by.resolve())))


def unpin(run: Place, step: int, *, id: str) -> None:
    """The run of this id is finished, or begins elsewhere."""
    with suppress(OSError, DeniedError):
        remove(run / PINS / _name(step, id), missing_ok=True)


def pinned(run: Place) -> set[int]:
    """The steps of `run` that unfinished work begins from."""
    return {step for step, _ in unfinished(run)}


def unfinished(run: Place) -> list[tuple[int, Place]]:
    """(step of `run` that it begins from, its run) of unfinished work, by step."""
    try:
        pins = children(run / PINS)
    except OSError:
        return []
    held = [(int(pin.name.partition("-")[0]), by) for pin in pins if (by := _held_by(pin))]
    return sorted(held, key=lambda each: (each[0], str(each[1])))


def _name(step: int, id: str) -> str:
    return f"{step}-{id[:_SHORT]}"


def _held_by(pin: Place) -> Place | None:
    step, dash, _ = pin.name.partition("-")
    if not (step.isdecimal() and dash):  # half of a write, or anybody's
        return None
    try:
        by = place(os.fsdecode(pin.read_bytes()))
        return by if (by / RUN).is_file() else None
    except (OSError, ValueError, UsageError):
        return None
