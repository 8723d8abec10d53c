"""The request of `vitctl lineage`, and the tree that it draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vitctl.artifacts import Artifact, Run
from vitctl.artifacts.ancestry import Ancestor


@dataclass(frozen=True)
class Inputs:
    """An artifact or run as it was named, and the step of RUN@STEP, if it was named so."""

    named: Artifact | Run
    step: int | None = None


@dataclass(frozen=True)
class Lineage:
    """An artifact, or a run without checkpoints, and its inputs with theirs."""

    entry: Artifact | Run
    inputs: tuple[Ancestor, ...]

    def as_json(self) -> dict[str, Any]:
        """The object of `vitctl lineage --json`; docs/schemas/lineage.schema.json."""
        return {**_as_json(self.entry), "inputs": [_node(branch) for branch in self.inputs]}


def _node(branch: Ancestor) -> dict[str, Any]:
    """One input: as recorded, where it is now, and what went into it."""
    parent = branch.parent
    artifact = branch.artifact
    return {
        "role": parent.role,
        "kind": parent.kind,
        "id": parent.id,
        "digest": parent.digest,
        "path": str(artifact.path) if artifact is not None else parent.path,
        "found": artifact is not None,
        "problem": branch.problem,
        "summary": artifact.summary if artifact is not None else {},
        "inputs": [_node(above) for above in branch.ancestors],
    }


def _as_json(entry: Artifact | Run) -> dict[str, Any]:
    if isinstance(entry, Artifact):
        return entry.as_json()
    return {
        "path": str(entry.path),
        "id": entry.info.id,
        "digest": None,
        "kind": "run",
        "summary": {},
    }
