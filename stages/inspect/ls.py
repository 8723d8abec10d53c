"""`vitctl ls`: what a store holds."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

from typer import Option

from stages.inspect import text
from stages.inspect.listing import ListedRow, rows
from vitctl.artifacts.kinds import KINDS, example_of, kind_named
from vitctl.console import completion
from vitctl.console.session import Session
from vitctl.console.text import safe
from vitctl.console.verb import verb
from vitctl.errors import UsageError
from vitctl.events import Next, Note
from vitctl.quoting import quoted
from vitctl.suggestions import suggest

if TYPE_CHECKING:
    from rich.text import Text

_COLUMNS = ("kind", "name", "id", "step", "made", "summary")
_MARKS = {"working": "green", "unfinished": "yellow", "damaged": "bold red"}


@verb(makes=False)
def ls(
    session: Session,
    kind: Annotated[
        str | None,
        Option(
            help=f"List only this kind: {', '.join(['run', *KINDS])}.",
            autocompletion=completion.kinds,
        ),
    ] = None,
) -> None:
    """Example: vitctl ls --kind run

    List the artifacts and runs of the store, the newest last. Unfinished work, runs that are being
    trained now and damaged artifacts are marked. Any name, id or path in the list can be given to
    other commands.
    """
    kind = None if kind is None else kind_named(kind)
    every = rows(session.store, kind=kind)
    if kind is not None and not every:
        _check_kind(kind, session)
    if session.options.json:
        for row in every:
            session.answer_json(row.as_json())
    elif every:
        from vitctl.console.table import table  # rich: a help page doesn't need it

        session.answer_text(table(_COLUMNS, [_cells(row) for row in every]))
    else:
        what = "nothing" if kind is None else f"no {kind}"
        session.emit(Note(f"{what} in {session.store.root} yet"))
        session.emit(Next.of(*shlex.split(example_of(kind or "dataset"))[1:]))


def _cells(row: ListedRow) -> list[str | Text]:
    from rich.text import Text

    summary_text = row.problem or text.in_words(
        "checkpoint" if row.kind == "run" else row.kind, row.summary
    )
    if row.kind == "run":
        summary_text = summary_text or "no checkpoint yet"
        summary_text = summary_text if row.stage == "pretrain" else f"{row.stage}: {summary_text}"
    summary = Text(safe(summary_text))
    if row.state in _MARKS:
        mark = row.state if not summary_text else f"{row.state}: "
        summary = Text.assemble((mark, _MARKS[row.state]), summary)
    short = (row.id or "")[:8]
    made = text.ago(row.made) if row.made else ""
    return [row.kind, row.name, short, text.steps(row.steps), made, summary]


def _check_kind(kind: str, session: Session) -> None:
    """Nothing of a kind is an answer, but not for a kind there never is."""
    known = {"run", *KINDS, *(row.kind for row in rows(session.store))}
    if kind not in known:
        raise UsageError(
            f"there is no kind {quoted(kind)}",
            hint=suggest(kind, sorted(known), otherwise=f"kinds are {', '.join(sorted(known))}"),
        )
