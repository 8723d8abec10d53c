"""The request of `vitctl ls`, and a row of its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from vitctl.artifacts.order import Age
from vitctl.places import Place


@dataclass(frozen=True)
class Inputs:
    """The kind that is listed; None lists all, but of the checkpoints of runs."""

    kind: str | None = None


State = Literal["finished", "working", "unfinished", "failed", "damaged"]


@dataclass(frozen=True)
class ListedRow:
    """One line of `vitctl ls`.

    state    finished; working (a process is at it now); unfinished (none is, and the command that
             made it has not got its answer); failed (the same, of a run that has no checkpoint: the
             command begins anew); damaged
    steps    of a run its checkpoints, of a checkpoint its own step
    problem  what is damaged, or why a run failed
    order    sorts rows by age
    summary  of the artifact; of a run, of its newest checkpoint
    """

    path: Place
    kind: str
    stage: str
    name: str
    id: str | None
    digest: str | None
    state: State
    steps: tuple[int, ...]
    order: Age
    summary: dict[str, Any]
    problem: str | None = None

    @property
    def made(self) -> str:
        """ISO time: when it was finished, else when work began; empty if unknown."""
        return self.order.finished

    def as_json(self) -> dict[str, Any]:
        """The object of `vitctl ls --json`; docs/schemas/listing.schema.json."""
        return {
            "path": str(self.path),
            "id": self.id,
            "digest": self.digest,
            "kind": self.kind,
            "summary": self.summary,
            "name": self.name,
            "stage": self.stage,
            "state": self.state,
            "steps": list(self.steps),
            "made": self.made or None,
            "problem": self.problem,
        }
