"""`vitctl lineage`: the tree of inputs of an artifact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from stages.inspect import text
from stages.inspect.listing import labelled
from vitctl.artifacts import Artifact, Run, Store
from vitctl.artifacts.ancestry import SOURCE, Ancestor, ancestors_of
from vitctl.artifacts.references import id_of
from vitctl.console.flags import Reference
from vitctl.console.session import Session
from vitctl.console.streams import answer_columns
from vitctl.console.text import safe
from vitctl.console.tree import bold, dim, warned
from vitctl.console.verb import verb
from vitctl.places import Place, place
from vitctl.quantities import show_count


@verb(makes=False)
def lineage(
    session: Session,
    ref: Reference = None,
) -> None:
    """Example: vitctl lineage RUN@20k

    Draw the tree of inputs: which checkpoint, which images and which folder a result was made
    from. Inputs that changed or are missing are marked.
    """
    for named, step in session.named(ref):
        entry = _checkpoint(named, step)
        tree = _ancestors(entry, store=session.store)
        if session.options.json:
            session.answer_json({**_as_json(entry), "inputs": [_node(branch) for branch in tree]})
        else:
            session.answer_text("\n".join(_drawn(entry, tree)))


def _checkpoint(entry: Artifact | Run, step: int | None) -> Artifact | Run:
    """Of a run one checkpoint, the newest if no step was given; an empty run stays a run."""
    if not isinstance(entry, Run) or (step is None and not entry.steps()):
        return entry
    return entry.checkpoint(entry.steps()[-1] if step is None else step, check=False)


def _ancestors(entry: Artifact | Run, *, store: Store) -> tuple[Ancestor, ...]:
    parents = entry.info.parents if isinstance(entry, Run) else entry.manifest.parents
    return ancestors_of(parents, store=store, above=frozenset([id_of(entry)]))


def _drawn(entry: Artifact | Run, tree: Sequence[Ancestor]) -> Iterator[str]:
    yield from _fitted("", *_label(entry), below="│  " if tree else "   ")
    yield from _branches(tree, indent="")


def _branches(tree: Sequence[Ancestor], *, indent: str) -> Iterator[str]:
    for number, branch in enumerate(tree, start=1):
        fork, below = ("├─", "│  ") if number < len(tree) else ("└─", "   ")
        lead = f"{indent}{fork} {dim(safe(branch.parent.role))} "
        under = indent + below + ("│  " if branch.ancestors else "   ")
        yield from _fitted(lead, *_shown(branch), below=under)
        yield from _branches(branch.ancestors, indent=indent + below)


def _fitted(lead: str, head: str, path: str, summary: str, *, below: str) -> Iterator[str]:
    """One line, or where a terminal is too narrow for it the path on a second one."""
    from rich.text import Text  # a help page doesn't need it

    line = "  ".join(part for part in (lead + head, path, summary) if part)
    width = answer_columns()
    if width is None or Text.from_ansi(line).cell_len <= width:
        yield line
        return
    yield "  ".join(part for part in (lead + head, summary) if part)
    if path:
        yield below + path


def _label(entry: Artifact | Run) -> tuple[str, str, str]:
    """(what it is, where it is, its summary)"""
    if isinstance(entry, Run):
        return f"{bold('run')} {entry.info.id[:8]}", safe(entry.path), ""
    step = f" step {show_count(entry.step)}" if entry.step is not None else ""
    summary = text.in_words(entry.kind, labelled(entry))
    return f"{bold(safe(entry.kind))}{step} {entry.id[:8]}", _near(entry.path), dim(safe(summary))


def _near(path: Place) -> str:
    """As it is named from here, if it lies here: parents are recorded by their whole path."""
    return safe(path.inside(place(Path.cwd())) or path)


def _shown(branch: Ancestor) -> tuple[str, str, str]:
    if branch.artifact is not None:
        return _label(branch.artifact)
    parent = branch.parent
    kind = "" if parent.kind == SOURCE else f"{safe(parent.kind)} "
    problem = warned(safe(branch.problem)) if branch.problem else ""
    return f"{kind}{parent.id[:8]}", safe(parent.path or ""), problem


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
