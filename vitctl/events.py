"""What a stage tells while it works. A stage emits events; who shows them is not its concern.

`run(..., emit=silent)` is the Python API's default: nothing is printed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Note:
    """One line a user should read once."""

    text: str


@dataclass(frozen=True)
class Caution:
    """One line that says the result may not be what the user expects."""

    text: str


@dataclass(frozen=True)
class Settings:
    """Resolved numbers, announced once: name -> value, already formatted for reading."""

    title: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Progress:
    """`done` of `total` units of `task`. `fields` are shown beside it (loss, lr, img/s)."""

    task: str
    done: int
    total: int | None
    unit: str
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Next:
    """A pasteable command that makes sense after this one."""

    command: str


Event = Note | Caution | Settings | Progress | Next
Emit = Callable[[Event], None]


def silent(event: Event) -> None:
    """Show nothing."""
