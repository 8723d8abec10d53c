"""A checkpoint that unfinished work begins from is held against thinning out.

    <run>/pins/<step>-<first 16 of the id of the run that begins there>   holds that run's path

A cooldown names the checkpoint of the trunk that it begins from, also when it is continued; the
trunk may train on meanwhile and thin its checkpoints out. It looks here first.

A pin belongs to work, not to a process: that of a command that was interrupted stays until the
command is given again. It holds nothing where the run is gone, or has given the answer of its last
start and nobody works on it: a kill between the answer and `unpin` leaves such ones.
"""

from __future__ import annotations

import os
from contextlib import suppress

from vitctl.artifacts.files import LOCK, RUN
from vitctl.artifacts.manifest import MANIFEST
from vitctl.artifacts.run_info import CHECKPOINTS, read_info
from vitctl.errors import DeniedError, UsageError, VitctlError
from vitctl.locks.exclusive import is_locked
from vitctl.places import Place, place

PINS = "pins"

_SHORT = 16


def pin(run: Place, step: int, *, by: Place, id: str) -> None:
    """Hold a step of `run` for the run at `by`, which has this id."""
    file = run / PINS / _name(step, id)
    # Where nothing may be written nobody thins out either.
    with suppress(OSError, DeniedError):
        file.parent.make_folder()
        file.write_atomic(os.fsencode(str(by.resolve())))


def unpin(run: Place, step: int, *, id: str) -> None:
    """The run of this id is finished, or begins elsewhere."""
    with suppress(OSError, DeniedError):
        (run / PINS / _name(step, id)).remove(missing_ok=True)


def pinned(run: Place) -> set[int]:
    """The steps of `run` that unfinished work begins from."""
    return {step for step, _ in unfinished(run)}


def unfinished(run: Place) -> list[tuple[int, Place]]:
    """(step of `run` that it begins from, its run) of unfinished work, by step."""
    try:
        pins = (run / PINS).children()
    except OSError:
        return []
    held = [(int(pin.name.partition("-")[0]), by) for pin in pins if (by := _held_by(pin))]
    return sorted(held, key=lambda each: (each[0], str(each[1])))


def remove_dead(run: Place) -> None:
    """Remove pins that hold nothing. Only under the run's lock."""
    with suppress(OSError, DeniedError):
        for pin in (run / PINS).children():
            if _is_pin(pin) and _held_by(pin) is None:
                pin.remove(missing_ok=True)


def _name(step: int, id: str) -> str:
    return f"{step}-{id[:_SHORT]}"


def _is_pin(path: Place) -> bool:
    """Not half of a write, nor anybody's."""
    step, dash, _ = path.name.partition("-")
    return step.isdecimal() and bool(dash)


def _held_by(pin: Place) -> Place | None:
    if not _is_pin(pin):
        return None
    try:
        by = place(os.fsdecode(pin.read_bytes()))
        return by if (by / RUN).is_file() and not _is_finished(by) else None
    except (OSError, ValueError, UsageError):
        return None


def _is_finished(by: Place) -> bool:
    """Whether a run has given the answer of its last start, and nobody works on it."""
    try:
        info = read_info(by)
    except VitctlError:  # damaged: what it still needs is not known
        return False
    last = max(info.results, default=None)
    if last is None or not (by / CHECKPOINTS / str(last) / MANIFEST).is_file():
        return False
    begun = info.segments[-1].from_step if info.segments else 0
    return begun < last and not is_locked(by / LOCK)
