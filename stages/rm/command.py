"""The flags of `vitctl rm`, and what it prints: each artifact as it is removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from typer import Argument, Option

from stages.rm.spec import Inputs
from vitctl.artifacts.removal import Descendants
from vitctl.console import completion
from vitctl.console.session import Session
from vitctl.console.streams import read_references
from vitctl.console.verb import verb
from vitctl.errors import UsageError
from vitctl.events import Emit


@verb(makes=False)
def rm(
    session: Session,
    refs: Annotated[
        list[str] | None,
        Argument(
            metavar="REF",
            help="Artifacts, runs, RUN@STEP or unfinished work: path, name or id; - reads them "
            "from stdin, a line each.",
            autocompletion=completion.artifacts,
        ),
    ] = None,
    descending: Annotated[
        Descendants,
        Option(
            "--descendants",
            help="Artifacts that were made from these: end with an error if there are any (refuse, "
            "the default), keep them without their inputs (keep), or remove them, too (remove).",
            show_default=False,
        ),
    ] = "refuse",
    inputs: Annotated[
        bool,
        Option(
            "--inputs",
            help="Remove their inputs, too, and the inputs of those, if nothing else in the store "
            "was made from them.",
        ),
    ] = False,
    unfinished: Annotated[
        bool,
        Option(
            "--unfinished",
            help="Remove what was never finished and no process works on: drafts, runs without a "
            "checkpoint, leftovers of killed commands. Given again, the command that began such "
            "work starts anew.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Remove nothing; show what would go, and its size.")
    ] = False,
) -> None:
    """Example: vitctl rm S-16@20k --dry-run

    Remove artifacts, runs or single checkpoints from the store. This cannot be undone. Nothing is
    removed that other artifacts of the store were made from, unless a flag says so, that a process
    works on, or that an unfinished cooldown begins from. Files of yours that lie in a folder of
    vitctl's are left there.
    """
    given = Inputs(tuple(refs or []), descending, inputs, unfinished, dry_run)
    given = replace(given, references=_references(given.references, emit=session.emit))
    from stages.rm.run import run
    from stages.rm.text import as_text

    for one in run(given, store=session.store, emit=session.emit):
        if session.options.json:
            session.answer_json(one.as_json())
        else:
            session.answer_text(as_text(one))


def _references(given: Sequence[str], *, emit: Emit) -> tuple[str, ...]:
    """Those given, `-` being the lines of stdin."""
    if "-" not in given:
        return tuple(given)
    if len(given) > 1:
        raise UsageError("- (stdin) and other references are both given", hint="keep one of them")
    return tuple(read_references(what="an artifact", several=True, emit=emit))
