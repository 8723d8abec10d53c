"""A tree of inputs as it is drawn on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.text import Text

from stages.inspect import text
from stages.inspect.lineage.spec import Lineage
from vitctl.artifacts import Artifact, Run
from vitctl.artifacts.ancestry import SOURCE, Ancestor
from vitctl.console.streams import answer_columns
from vitctl.console.text import safe
from vitctl.console.tree import bold, dim, warned
from vitctl.places import Place, place
from vitctl.text.quantities import show_count


def lines(lineage: Lineage) -> Iterator[str]:
    """What was named, and below it a line for each input."""
    below = "│  " if lineage.inputs else "   "
    yield from _fitted("", *_label(lineage.entry), below=below)
    yield from _branches(lineage.inputs, indent="")


def _branches(tree: Sequence[Ancestor], *, indent: str) -> Iterator[str]:
    for number, branch in enumerate(tree, start=1):
        fork, below = ("├─", "│  ") if number < len(tree) else ("└─", "   ")
        lead = f"{indent}{fork} {dim(safe(branch.parent.role))} "
        under = indent + below + ("│  " if branch.ancestors else "   ")
        yield from _fitted(lead, *_shown(branch), below=under)
        yield from _branches(branch.ancestors, indent=indent + below)


def _fitted(lead: str, head: str, path: str, summary: str, *, below: str) -> Iterator[str]:
    """One line, or where a terminal is too narrow for it the path on a second one."""
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
    summary = text.in_words(entry.kind, text.labelled(entry))
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
