"""How `vitctl ls` works: a store -> a row an artifact, run or draft, the damaged ones too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from stages.inspect.ls.spec import Inputs, ListedRow, State
from stages.inspect.text import labelled
from vitctl.artifacts import Artifact, Run, Store
from vitctl.artifacts.artifact import load_if_readable
from vitctl.artifacts.drafts import read_note
from vitctl.artifacts.files import LOCK
from vitctl.artifacts.kinds import KINDS, kind_named
from vitctl.artifacts.order import Age
from vitctl.artifacts.references import plain_name
from vitctl.errors import UsageError, VitctlError
from vitctl.locks.exclusive import is_locked
from vitctl.places import Place
from vitctl.text.quoting import quoted
from vitctl.text.suggestions import suggest


def run(inputs: Inputs, *, store: Store) -> list[ListedRow]:
    """The rows, oldest first. None of a kind is an answer, but not of a kind there never is:
    UsageError."""
    kind = None if inputs.kind is None else kind_named(inputs.kind)
    every = rows(store, kind=kind)
    if kind is not None and not every:
        known = {"run", *KINDS, *(row.kind for row in rows(store))}
        if kind not in known:
            every_kind = sorted(known)
            raise UsageError(
                f"there is no kind {quoted(kind)}",
                hint=suggest(kind, every_kind, otherwise=f"kinds are {', '.join(every_kind)}"),
            )
    return every


def rows(store: Store, *, kind: str | None = None) -> list[ListedRow]:
    """The rows of a store, oldest first. `kind="checkpoint"` lists those of the runs one by one."""
    per_directory = store.each_directory(
        lambda d: list(_rows_at(d, checkpoints=kind == "checkpoint"))
    )
    wanted = [
        row for several in per_directory for row in several if kind is None or row.kind == kind
    ]
    return sorted(wanted, key=lambda row: row.order)


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
        order=artifact.order,
        summary=labelled(artifact),
        problem=problems[0] if problems else None,
    )


def _of_run(run: Run) -> ListedRow:
    steps = run.steps()
    named = run.named_step(steps) if steps else None
    newest = load_if_readable(run.place(named)) if named is not None else None
    state: State = "finished" if named in run.info.results else "unfinished"
    problem = None
    if steps and newest is None:
        state, problem = "damaged", f"the manifest of checkpoint {named} is damaged"
    elif newest is not None and (problems := newest.check_sizes()):
        state, problem = "damaged", f"checkpoint {named}: {problems[0]}"
    if run.is_working:
        state = "working"
    elif not steps:
        state, problem = "failed", run.info.failed or "it ended before its first checkpoint"
    return ListedRow(
        path=run.path,
        kind="run",
        stage=run.info.stage,
        name=plain_name(run),
        id=run.info.id,
        digest=None,
        state=state,
        steps=tuple(steps),
        order=run.order,
        summary=labelled(newest) if newest is not None else {},
        problem=problem,
    )


def _of_checkpoints(run: Run) -> Iterator[ListedRow]:
    for step in run.steps():
        yield _inside(run.place(step), kind="checkpoint", name=f"{plain_name(run)}@{step}")


def _of_batches(run: Run) -> Iterator[ListedRow]:
    """The batches that a step of the run diverged on."""
    for place in run.batches():
        yield _inside(place, kind="batch", name=f"{plain_name(run)} batch {place.name}")


def _inside(place: Place, *, kind: str, name: str) -> ListedRow:
    """The row of an artifact in a run's folder."""
    try:
        row = _of_artifact(Artifact.load(place, check=False))
    except VitctlError as error:
        return _without_manifest(place, {"kind": kind}, state="damaged", problem=error.message)
    return replace(row, name=name)


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
        order=Age.of(path, finished=note.get("started", "")),
        summary={},
        problem=problem,
    )
