"""The request of `vitctl verify`, and its verdict on each entry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from vitctl.artifacts import Artifact, Run
from vitctl.places import Place

Depth = Literal["sizes", "contents"]


@dataclass(frozen=True)
class Inputs:
    """Artifacts and runs, each with the step of RUN@STEP, if it was named so; None checks all of
    the store. `depth`: whether their sizes are compared, or every byte."""

    named: tuple[tuple[Artifact | Run, int | None], ...] | None
    depth: Depth = "sizes"


@dataclass
class Verdict:
    """The result for one entry. Problems make it damaged, remarks don't.

    files and bytes count what was checked, records the records of datasets that were read.
    """

    path: Place
    kind: str
    id: str | None
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    records: int = 0

    @property
    def whole(self) -> bool:
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """The object of `vitctl verify --json`; docs/schemas/verdict.schema.json."""
        return {
            "path": str(self.path),
            "id": self.id,
            "kind": self.kind,
            "whole": self.whole,
            "problems": self.problems,
            "remarks": self.remarks,
            "files": self.files,
            "bytes": self.bytes,
            "records": self.records,
        }
