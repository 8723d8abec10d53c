"""`vitctl verify`: is it still what was published?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from typer import Option

from stages.inspect.checks import Depth, Verdict, of_directory, of_entry
from vitctl.artifacts import Store
from vitctl.console.flags import Reference
from vitctl.console.session import Session
from vitctl.console.text import safe
from vitctl.console.tree import dim, warned
from vitctl.console.verb import verb
from vitctl.errors import InputError, UsageError, VitctlError
from vitctl.events import Emit, Note
from vitctl.quantities import show_bytes


@verb(makes=False)
def verify(
    session: Session,
    ref: Reference = None,
    every: Annotated[bool, Option("--all", help="Check everything in the store.")] = False,
    deep: Annotated[
        bool,
        Option("--deep", help="Hash every byte, read every record, and replay the sample order."),
    ] = False,
) -> None:
    """Example: vitctl verify --all --deep

    Check that an artifact or run is still what was written: files, sizes and counts, and that
    its inputs have not changed. --deep reads all data. Problems are listed, one per line, and
    make the exit code 3.
    """
    if every and ref is not None:
        raise UsageError("--all and REF are both given", hint="keep one of them")
    depth: Depth = "contents" if deep else "sizes"
    if every:
        verdicts = _every(session.store, depth=depth, emit=session.emit)
    else:
        verdicts = (
            of_entry(entry, store=session.store, depth=depth, emit=session.emit, step=step)
            for entry, step in session.named(ref)
        )
    checked = damaged = 0
    for verdict in verdicts:
        checked += 1
        damaged += not verdict.whole
        if session.options.json:
            session.answer_json(verdict.as_json())
        else:
            session.answer_text("\n".join(_lines(verdict, deep=deep)))
    if not checked:
        session.emit(Note(f"the store {session.store.root} is empty"))
    if damaged:
        raise InputError(
            f"{damaged} of {checked} artifacts are damaged"
            if checked > 1
            else "the artifact is damaged",
            hint="copy the artifact again from an intact copy, or make it again with --force",
        )


def _every(store: Store, *, depth: Depth, emit: Emit) -> Iterator[Verdict]:
    for directory in store.directories():
        try:
            entry = store.load(directory, check=False)
        except VitctlError as error:
            verdict = of_directory(directory, error)
            if verdict is not None:
                yield verdict
            continue
        yield of_entry(entry, store=store, depth=depth, emit=emit)


def _lines(verdict: Verdict, *, deep: bool) -> Iterator[str]:
    counts = f"{verdict.files:,} files, {show_bytes(verdict.bytes)}"
    if verdict.records:
        counts += f", {verdict.records:,} records"
    looked = dim(f"({counts}{' read' if deep else ''})")
    if verdict.whole:
        yield f"whole    {safe(verdict.path)}  {looked}"
    for problem in verdict.problems:
        yield f"{warned('damaged')}  {safe(verdict.path)}  {safe(problem)}"
    for remark in verdict.remarks:
        yield f"note     {safe(verdict.path)}  {safe(remark)}"
