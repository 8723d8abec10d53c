"""The flags of `vitctl verify`, and what it prints."""

from __future__ import annotations

from typing import Annotated

from typer import Option

from stages.inspect.verify.spec import Inputs
from vitctl.console.flags import Reference
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.errors import InputError, UsageError
from vitctl.events import Note


@verb(makes=False)
def verify(
    session: Session,
    ref: Reference = None,
    every: Annotated[bool, Option("--all", help="Check everything in the store.")] = False,
    deep: Annotated[
        bool,
        Option(
            "--deep", help="Hash every byte, read every record, and recompute the order of samples."
        ),
    ] = False,
) -> None:
    """Example: vitctl verify --all --deep

    Check that an artifact or run is still what was written: files, sizes and counts, labels of
    datasets, and that its inputs have not changed. --deep reads all data. Problems are listed,
    one per line, and make the exit code 3.
    """
    if every and ref is not None:
        raise UsageError("--all and REF are both given", hint="keep one of them")
    from stages.inspect.verify.run import run
    from stages.inspect.verify.text import lines

    named = None if every else tuple(session.named(ref))
    inputs = Inputs(named, "contents" if deep else "sizes")
    checked = damaged = 0
    for verdict in run(inputs, store=session.store, emit=session.emit):
        checked += 1
        damaged += not verdict.whole
        if session.options.json:
            session.answer_json(verdict.as_json())
        else:
            session.answer_text("\n".join(lines(verdict, deep=deep)))
    if not checked:
        session.emit(Note(f"the store {session.store.root} is empty"))
    if damaged:
        raise InputError(
            f"{damaged} of {checked} artifacts are damaged"
            if checked > 1
            else "the artifact is damaged",
            hint="copy the artifact again from an intact copy, or make it again with --force",
        )
