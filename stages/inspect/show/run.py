"""How `vitctl show` works: an artifact or run -> all that is recorded of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stages.inspect.show.spec import Inputs
from vitctl.artifacts import Artifact, Run
from vitctl.artifacts.artifact import load_if_readable
from vitctl.train.telemetry import goodput, metrics


def run(inputs: Inputs) -> dict[str, Any]:
    """What `vitctl show --json` prints: the five fields of docs/schemas/artifact.schema.json, and
    everything else that the manifest or `run.json` holds."""
    return as_json(inputs.entry())


def as_json(entry: Artifact | Run) -> dict[str, Any]:
    """All that is recorded: the manifest, or of a run `run.json` and its checkpoints."""
    if isinstance(entry, Artifact):
        return {**entry.as_json(), **entry.manifest.model_dump(mode="json")}
    return {
        "path": str(entry.path),
        "digest": None,
        "summary": {},
        **entry.info.model_dump(mode="json"),
        "kind": "run",
        "working": entry.is_working,
        "checkpoints": [checkpoint.as_json() for _, checkpoint in checkpoints(entry) if checkpoint],
        "metrics": last_rows(entry),
        "time": goodput.as_json(goodput.read(entry.path / goodput.FILE)),
    }


def checkpoints(run: Run) -> Iterator[tuple[int, Artifact | None]]:
    for step in run.steps():
        yield step, load_if_readable(run.place(step))


def last_rows(run: Run) -> dict[str, dict[str, Any]]:
    """The newest row of each kind (train, eval, save) of the run's metrics."""
    rows = metrics.newest(run.metrics)
    return {kind: {k: v for k, v in row.items() if k != "kind"} for kind, row in rows.items()}
