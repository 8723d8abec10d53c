"""The flags of `vitctl report`, and what it prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from stages.report.settings import resolve
from stages.report.spec import DEFAULT, Inputs
from vitctl.console import completion
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.errors import UsageError
from vitctl.events import Note


@verb(makes=False)
def report(
    session: Session,
    refs: Annotated[
        list[str] | None,
        Argument(
            metavar="REF",
            help="Artifacts, runs or RUN@STEP: path, name or id; - reads them from stdin, a line "
            "each (default: those that are piped in, else the newest).",
            autocompletion=completion.artifacts,
        ),
    ] = None,
    every: Annotated[bool, Option("--all", help="Report everything in the store.")] = False,
    parents: Annotated[
        bool,
        Option(
            "--parents/--no-parents",
            help="Also report what they were made from: datasets, runs, other results (the "
            "default), or only what is named.",
            show_default=False,
        ),
    ] = True,
    out: Annotated[
        Path | None,
        Option(metavar="FILE", help=f"File of the page (default: {DEFAULT} in this folder)."),
    ] = None,
    title: Annotated[
        str | None,
        Option(metavar="TEXT", help="Heading of the page (default: the names of the results)."),
    ] = None,
    force: Annotated[bool, Option("--force", help="Overwrite FILE if it exists.")] = False,
) -> None:
    """Example: vitctl report S-16 S-16-24000 --out study.html

    Write one page of HTML that needs no network: results with intervals, curves over images seen,
    lineage, pictures of the data, where the time went, scaling laws, and the commands that make
    it all again. Paths, hosts and user names are left out, so that the page can be sent to others.
    """
    request = resolve(out=out, title=title, parents=parents, force=force)
    inputs = Inputs(None if _whole_store(refs or [], every=every) else _named(session, refs or []))
    if out is None:
        session.emit(Note(f"--out {DEFAULT} (the default)"))
    from stages.report.run import run
    from stages.report.text import as_json

    written = run(request, inputs, store=session.store, emit=session.emit)
    if session.options.json:
        session.answer_json(as_json(written))
    else:
        session.answer_text(str(written.file))


def _whole_store(refs: Sequence[str], *, every: bool) -> bool:
    if every and refs:
        raise UsageError("--all and REF are both given", hint="keep one of them")
    return every


def _named(session: Session, refs: Sequence[str]) -> tuple:
    if "-" in refs and len(refs) > 1:
        raise UsageError("- (stdin) and other references are both given", hint="keep one of them")
    given: Sequence[str | None] = refs or [None]
    return tuple(one for ref in given for one in session.named(ref))
