"""Pins: a checkpoint that unfinished work begins from is not deleted with older checkpoints.

    <run>/pins/<step>-<first 16 of the id of the run that begins there>   holds that run's path

A cooldown names the checkpoint of the trunk that it begins from, also when it is continued; the
trunk may train on meanwhile and thin its checkpoints out. It looks here first.

The holder of a lock is a process (`holder`); that of a pin is work, which is a run: a pin of a
command that was interrupted stays until the command is given again. Whether a run still needs
where it began is asked of `holds`: a kill between the answer of a run and `unpin` leaves pins that
hold nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from vitctl.errors import DeniedError, UsageError
from vitctl.places import Place, nofollow, place

PINS = "pins"

_SHORT = 16


class Pin(NamedTuple):
    """The step of the run that is pinned, and the run that holds it."""

    step: int
    by: Place


@dataclass(frozen=True)
class Pins:
    """What is pinned of a run.

    Attributes:
      run: its folder.
      holds: whether the run at a place still needs where it began.
    """

    run: Place
    holds: Callable[[Place], bool]

    def pin(self, step: int, *, by: Place, id: str) -> None:
        """Hold a step for the run at `by`, which has this id."""
        file = self._file(step, id)
        content = os.fsencode(str(by.resolve()))
        # Where nothing may be written nobody thins out either.
        with suppress(OSError, DeniedError):
            nofollow.first_in_folder(file.parent.make_folder, lambda: file.write_atomic(content))

    def unpin(self, step: int, *, id: str) -> None:
        """The run of this id is finished, or begins elsewhere."""
        with suppress(OSError, DeniedError):
            self._file(step, id).remove(missing_ok=True)
            (self.run / PINS).remove_if_empty()

    def steps(self) -> set[int]:
        """The steps that unfinished work begins from."""
        return {pin.step for pin in self.held()}

    def held(self) -> list[Pin]:
        """Those that hold something, by step."""
        try:
            files = (self.run / PINS).children()
        except OSError:
            return []
        pins = [pin for file in files if (pin := self._read(file)) is not None]
        return sorted(pins, key=lambda pin: (pin.step, str(pin.by)))

    def remove_dead(self) -> None:
        """Remove those that hold nothing. Only under the run's lock."""
        with suppress(OSError, DeniedError):
            for file in (self.run / PINS).children():
                if _is_pin(file) and self._read(file) is None:
                    file.remove(missing_ok=True)
            (self.run / PINS).remove_if_empty()

    def _file(self, step: int, id: str) -> Place:
        return self.run / PINS / f"{step}-{id[:_SHORT]}"

    def _read(self, file: Place) -> Pin | None:
        if not _is_pin(file):
            return None
        try:
            by = place(os.fsdecode(file.read_bytes()))
            return Pin(int(file.name.partition("-")[0]), by) if self.holds(by) else None
        except (OSError, ValueError, UsageError):
            return None


def _is_pin(path: Place) -> bool:
    """Not half of a write, nor anybody's."""
    step, dash, _ = path.name.partition("-")
    return step.isdecimal() and bool(dash)
