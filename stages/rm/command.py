"""`vitctl rm`: what goes, said before it goes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from typer import Argument, Option

from vitctl.artifacts import Artifact, Run, Store, removal
from vitctl.artifacts.descent import (
    Member,
    below,
    checkpoint_of,
    member_at,
    members,
    store_around,
)
from vitctl.artifacts.references import LATEST, find, plain_name
from vitctl.artifacts.removal import Descendants, Removal
from vitctl.artifacts.runs import CHECKPOINTS, run_of
from vitctl.console import completion
from vitctl.console.session import Session
from vitctl.console.streams import read_references
from vitctl.console.text import safe
from vitctl.console.verb import verb
from vitctl.errors import UsageError
from vitctl.events import Emit, Note
from vitctl.places import Place, place
from vitctl.quantities import show_bytes
from vitctl.quoting import quoted

_REASONS = {
    "named": "",
    "descendant": "made from what goes",
    "input": "nothing else was made from it",
    "unfinished": "never finished",
}


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
            help="What was made from these: end with an error if there is any (refuse, the "
            "default), keep it without its inputs (keep), or remove it, too (remove).",
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

    Remove artifacts, runs or single checkpoints from the store. What others in the store were made
    from, what a process works on, and checkpoints that an unfinished cooldown begins from are not
    removed unless a flag says so. What lies directly in such a folder and is not vitctl's stays.
    There is no way back.
    """
    if bool(refs) == unfinished:
        raise UsageError(
            "REF and --unfinished are both given" if refs else "nothing is named",
            hint="keep one of them" if refs else "see what there is: vitctl ls",
        )
    every = members(session.store)
    if unfinished:
        every = _in_the_store(every, emit=session.emit)
        removals = removal.unfinished(every)
    else:
        named, every = _with_their_stores(
            _named(refs or [], every, session=session), every, root=session.store.root
        )
        removals = removal.chosen(named, among=every, descending=descending, inputs=inputs)
    files = total = 0
    for one in removals:
        if not dry_run:
            removal.remove(one, emit=session.emit)
        _answer(one, removed=not dry_run, session=session)
        files, total = files + one.files, total + one.bytes
    if unfinished:
        freed = _leftovers(every, dry_run=dry_run, session=session)
        files, total = files + freed[0], total + freed[1]
    done = "would be removed" if dry_run else "removed"
    session.emit(Note(f"{files:,} files, {show_bytes(total)} {done}"))


def _named(references: Sequence[str], every: Sequence[Member], *, session: Session) -> list[Member]:
    """What is named, once each; of a run and its checkpoints the run."""
    if "-" in references:
        if len(references) > 1:
            raise UsageError(
                "- (stdin) and other references are both given", hint="keep one of them"
            )
        references = list(read_references(what="artifact", several=True, emit=session.emit))
    named = {
        str(member.path.resolve()): member
        for member in (
            below(_member(r, every, store=session.store, emit=session.emit), session.store.root)
            for r in references
        )
    }
    return [
        member
        for member in named.values()
        if member.run_around is None or str(member.run_around.resolve()) not in named
    ]


def _with_their_stores(
    named: Sequence[Member], every: Sequence[Member], *, root: Place
) -> tuple[list[Member], list[Member]]:
    """What is named, and all members of the store and of the other stores that it lies in: there,
    too, something may have been made from it."""
    placed: list[Member] = []
    others: dict[str, Place] = {}
    for member in named:
        around = None if member.path.inside(root) else store_around(member)
        if around is not None:
            around = others.setdefault(str(around.resolve()), around)
            member = below(member, around)
        placed.append(member)
    return placed, [*every, *(m for other in others.values() for m in members(Store(other)))]


def _in_the_store(every: Sequence[Member], *, emit: Emit) -> list[Member]:
    """Those that no link leads to."""
    elsewhere = removal.behind_links(every)
    if elsewhere:
        more = f" and {len(elsewhere) - 1:,} more" if len(elsewhere) > 1 else ""
        emit(Note(f"behind symbolic links, and left as it is: {elsewhere[0].path}{more}"))
    paths = {str(member.path) for member in elsewhere}
    return [member for member in every if str(member.path) not in paths]


def _member(reference: str, every: Sequence[Member], *, store: Store, emit: Emit) -> Member:
    """What a reference names, damaged and unfinished work by its path or the name of its folder."""
    path = place(reference).absolute()
    if reference.partition("@")[0] in (LATEST, "ckpt") and not path.exists():
        raise UsageError(
            f"{reference} is whatever was made last, which is easily another than is meant",
            hint="name what is to go: vitctl ls",
        )
    for member in every:
        if member.path.absolute() == path:
            return member
    called = [
        member
        for member in every
        if reference in (member.path.name, member.entry and plain_name(member.entry))
    ]
    if any(member.entry is None for member in called):
        if len(called) > 1:
            listed = ", ".join(str(member.path) for member in called[:4])
            raise UsageError(
                f"{quoted(reference)} fits several, of which some are not finished or damaged: "
                f"{listed}",
                hint="give the path",
            )
        return called[0]
    if path.parent.name == CHECKPOINTS and path.name.isdecimal():
        run = member_at(path.parent.parent)
        if run is not None and isinstance(run.entry, Run):
            return checkpoint_of(run.entry, int(path.name))
    if (elsewhere := _damaged_or_unfinished(path)) is not None:
        return elsewhere
    entry, step = find(reference, store=store, emit=emit)
    if isinstance(entry, Artifact) and (run_around := run_of(entry)) is not None:
        return checkpoint_of(run_around, int(entry.path.name))
    if isinstance(entry, Run) and step is not None:
        return checkpoint_of(entry, step)
    member_of_entry = member_at(entry.path)
    assert member_of_entry is not None, entry.path
    return member_of_entry


def _damaged_or_unfinished(path: Place) -> Member | None:
    """A folder outside the store that `find` would not name."""
    member = member_at(path) if path.is_dir() else None
    return member if member is not None and member.entry is None and member.unfinished else None


def _leftovers(every: Iterable[Member], *, dry_run: bool, session: Session) -> tuple[int, int]:
    """Files and bytes that killed commands left in what is finished."""
    files = total = 0
    for member in every:
        if not (left := removal.leftovers(member)):
            continue
        count, size = removal.size_of(left)
        if not dry_run:
            removal.free_leftovers(member, emit=session.emit)
        _line(member, "leftovers of killed commands", files=count, bytes=size,
              removed=not dry_run, session=session)  # fmt: skip
        files, total = files + count, total + size
    return files, total


def _answer(one: Removal, *, removed: bool, session: Session) -> None:
    reason = _REASONS[one.reason]
    if one.strangers:
        others = f"{', '.join(one.strangers[:3])}{', ...' if len(one.strangers) > 3 else ''}"
        session.emit(Note(f"{one.member.path}: what is not vitctl's stays: {safe(others)}"))
    _line(one.member, reason, files=one.files, bytes=one.bytes, removed=removed, session=session)


def _line(
    member: Member, reason: str, *, files: int, bytes: int, removed: bool, session: Session
) -> None:
    if session.options.json:
        fields: dict[str, Any] = {
            "path": str(member.path),
            "id": member.id,
            "kind": member.kind,
            "files": files,
            "bytes": bytes,
            "removed": removed,
            "reason": reason or None,
        }
        session.answer_json(fields)
        return
    done = "removed" if removed else "would go"
    why = f"  ({reason})" if reason else ""
    session.answer_text(f"{done}  {show_bytes(bytes):>9}  {member.kind}  {safe(member.path)}{why}")
