"""The request of `vitctl rm`, and what it reports of each artifact that it removes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vitctl.artifacts.removal import Descendants
from vitctl.errors import UsageError
from vitctl.places import Place


@dataclass(frozen=True)
class Inputs:
    """What goes.

    Attributes:
      references: paths, names, ids, RUN@STEP, also of damaged and unfinished work.
      descendants: what was made from these: refuse if there is any, keep it, or remove it, too.
      inputs: their inputs go, too, and the inputs of those, if nothing else needs them.
      unfinished: instead of references, what was never finished and no process works on.
      dry_run: remove nothing.

    Raises UsageError unless there are either references or `unfinished`.
    """

    references: tuple[str, ...] = ()
    descendants: Descendants = "refuse"
    inputs: bool = False
    unfinished: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        if bool(self.references) == self.unfinished:
            raise UsageError(
                "REF and --unfinished are both given" if self.references else "nothing is named",
                hint="keep one of them" if self.references else "see what there is: vitctl ls",
            )


@dataclass(frozen=True)
class Removed:
    """One thing that went, or that would go: how much of the disk that frees, and why it went
    although it was not named."""

    path: Place
    id: str | None
    kind: str
    files: int
    bytes: int
    removed: bool
    reason: str | None

    def as_json(self) -> dict[str, Any]:
        """The object of `vitctl rm --json`; docs/schemas/removal.schema.json."""
        return {
            "path": str(self.path),
            "id": self.id,
            "kind": self.kind,
            "files": self.files,
            "bytes": self.bytes,
            "removed": self.removed,
            "reason": self.reason,
        }
