"""The flags of `vitctl ls`, and what it prints."""

from __future__ import annotations

import shlex
from typing import Annotated

from typer import Option

from stages.inspect.ls.spec import Inputs
from vitctl.artifacts.kinds import KINDS, example_of, kind_named
from vitctl.console import completion
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.events import Next, Note


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
    from stages.inspect.ls.run import run

    rows = run(Inputs(kind), store=session.store)
    if session.options.json:
        for row in rows:
            session.answer_json(row.as_json())
    elif rows:
        from stages.inspect.ls.text import COLUMNS, cells  # rich: a help page doesn't need it
        from vitctl.console.table import table

        session.answer_text(table(COLUMNS, [cells(row) for row in rows]))
    else:
        kind = None if kind is None else kind_named(kind)
        what = "nothing" if kind is None else f"no {kind}"
        session.emit(Note(f"{what} in {session.store.root} yet"))
        session.emit(Next.of(*shlex.split(example_of(kind or "dataset"))[1:]))
