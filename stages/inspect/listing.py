"""What a store holds: a row an artifact, run or draft, the damaged ones too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from vitctl.artifacts import Artifact, Run, Store
from vitctl.artifacts.artifact import load_if_readable
from vitctl.artifacts.drafts import read_note
from vitctl.artifacts.files import LOCK
from vitctl.artifacts.references import plain_name
from vitctl.errors import VitctlError
from vitctl.locks.exclusive import is_locked
from vitctl.model import variants
from vitctl.places import Place

_SHAPE = ("width", "depth", "mlp_dim", "heads", "patch")

State = Literal["finished", "working", "unfinished", "damaged"]


@dataclass(frozen=True)
class ListedRow:
    """One line of `vitctl ls`.

    state    finished; working (a process is at it now); unfinished (none is, and the command that
             made it has not got its answer); damaged
    steps    of a run its checkpoints, of a checkpoint its own step
    made     ISO time: when it was finished, else when work began; empty if unknown
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
    made: str
    summary: dict[str, Any]
    problem: str | None = None

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


def rows(store: Store, *, kind: str | None = None) -> list[ListedRow]:
    """The rows of a store, oldest first. `kind="checkpoint"` lists those of the runs one by one."""
    per_directory = store.each_directory(
        lambda d: list(_rows_at(d, checkpoints=kind == "checkpoint"))
    )
    wanted = [
        row for several in per_directory for row in several if kind is None or row.kind == kind
    ]
    return sorted(wanted, key=lambda row: (row.made, str(row.path)))


def labelled(artifact: Artifact) -> dict[str, Any]:
    """The summary. Of a checkpoint, with its model as it is labelled now: earlier versions recorded
    the name that its settings had, also where it stands for another size."""
    config, summary = artifact.config, artifact.summary
    sizes = config.get("model") if artifact.kind == "checkpoint" else None
    name = config.get("name")
    if not isinstance(sizes, dict) or not isinstance(name, str) or "model" not in summary:
        return summary
    shape = {field: sizes[field] for field in _SHAPE if isinstance(sizes.get(field), int)}
    if len(shape) < len(_SHAPE):
        return summary
    return {**summary, "model": variants.label(name, **shape)}


def _rows_at(path: Place, *, checkpoints: bool) -> Iterator[ListedRow]:
    try:
        entry = Store.load(path, check=False)
    except VitctlError as error:
        note = read_note(path)
        if error.exit_code != 4:
            yield _without_manifest(path, note or {}, state="damaged", problem=error.message)
        elif note is not None:
            state: State = "working" if is_locked(path / LOCK) else "unfinished"
            yield _without_manifest(path, note, state=state)
        return
    if isinstance(entry, Run):
        yield from _of_checkpoints(entry) if checkpoints else [_of_run(entry)]
        yield from _of_batches(entry)
    else:
        yield _of_artifact(entry)


def _of_artifact(artifact: Artifact) -> ListedRow:
    problems = artifact.check_sizes()
    return ListedRow(
        path=artifact.path,
        kind=artifact.kind,
        stage=artifact.manifest.stage,
        name=plain_name(artifact),
        id=artifact.id,
        digest=artifact.digest,
        state="damaged" if problems else "finished",
        steps=(artifact.step,) if artifact.step is not None else (),
        made=artifact.manifest.provenance.finished,
        summary=labelled(artifact),
        problem=problems[0] if problems else None,
    )


def _of_run(run: Run) -> ListedRow:
    steps = run.steps()
    newest = load_if_readable(run.place(steps[-1])) if steps else None
    made, _ = run.order
    state: State = "finished" if steps and steps[-1] in run.info.results else "unfinished"
    problem = None
    if steps and newest is None:
        state, problem = "damaged", f"the manifest of checkpoint {steps[-1]} is damaged"
    elif newest is not None and (problems := newest.check_sizes()):
        state, problem = "damaged", f"checkpoint {steps[-1]}: {problems[0]}"
    if run.is_working:
        state = "working"
    return ListedRow(
        path=run.path,
        kind="run",
        stage=run.info.stage,
        name=plain_name(run),
        id=run.info.id,
        digest=None,
        state=state,
        steps=tuple(steps),
        made=made,
        summary=labelled(newest) if newest is not None else {},
        problem=problem,
    )


def _of_checkpoints(run: Run) -> Iterator[ListedRow]:
    for step in run.steps():
        try:
            row = _of_artifact(Artifact.load(run.place(step), check=False))
        except VitctlError as error:
            place = run.place(step)
            yield _without_manifest(
                place, {"kind": "checkpoint"}, state="damaged", problem=error.message
            )
            continue
        yield ListedRow(**{**vars(row), "name": f"{plain_name(run)}@{step}"})


def _of_batches(run: Run) -> Iterator[ListedRow]:
    """The batches that a step of the run diverged on."""
    for place in run.batches():
        try:
            row = _of_artifact(Artifact.load(place, check=False))
        except VitctlError as error:
            kind = {"kind": "batch"}
            yield _without_manifest(place, kind, state="damaged", problem=error.message)
            continue
        yield ListedRow(**{**vars(row), "name": f"{plain_name(run)} batch {place.name}"})


def _without_manifest(
    path: Place, note: dict[str, str], *, state: State, problem: str | None = None
) -> ListedRow:
    return ListedRow(
        path=path,
        kind=note.get("kind", "unknown"),
        stage=note.get("stage", path.parent.name),
        name=path.name,
        id=note.get("id"),
        digest=None,
        state=state,
        steps=(),
        made=note.get("started", ""),
        summary={},
        problem=problem,
    )
