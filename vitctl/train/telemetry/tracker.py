"""What an experiment tracker is to a run: it opens a run of its own, takes rows, and closes it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from vitctl.train.config import TrackerName

Row = Mapping[str, Any]
Ending = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True)
class Tracked:
    """What a tracker is told of a run, once. Nothing of it names a host, a user or a path."""

    name: str
    stage: str
    id: str
    config: Mapping[str, Any]


class NoAnswerError(Exception):
    """A tracker does not answer; training goes on without it."""


class Tracker(ABC):
    """A run at an experiment tracker. All but `begin` is called from one thread."""

    name: ClassVar[TrackerName]
    confirms: ClassVar[bool]
    """Whether rows have arrived once `send` returns; else once `finish` does."""

    @abstractmethod
    def begin(self, run: Tracked, *, known: str | None) -> str:
        """Open the tracker's run `known`, or a new one if there is none or it is gone; its name
        there, to be remembered.

        Raises:
          UsageError: its package or an account is missing.
          NoAnswerError: the tracker does not answer.
        """

    @property
    @abstractmethod
    def where(self) -> str:
        """Where a person finds the run: an address or a folder."""

    @abstractmethod
    def send(self, rows: Sequence[Row]) -> None:
        """Add rows to the run. Raises whatever the tracker's package raises."""

    @abstractmethod
    def finish(self, ending: Ending) -> None:
        """Wait for what was sent, and close the run."""

    def abandon(self) -> None:  # noqa: B027, most have nothing to leave behind
        """Leave a run that does not finish, so that nothing waits for it when the process ends."""
