"""How `vitctl rm` works: artifacts that are named -> those removed with them -> free disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stages.rm.references import named, with_their_stores
from stages.rm.spec import Inputs, Removed
from vitctl.artifacts import Store, removal
from vitctl.artifacts.descent import Member, members
from vitctl.artifacts.removal import Reason, Removal
from vitctl.events import Emit, Note, silent
from vitctl.text.quantities import plural, show_bytes

_REASONS: dict[Reason, str | None] = {
    "named": None,
    "descendant": "made from what goes",
    "input": "nothing else was made from it",
    "unfinished": "never finished",
}


def run(inputs: Inputs, *, store: Store, emit: Emit = silent) -> Iterator[Removed]:
    """Remove, one after the other as the result is read, results before what they were made from.

    Raises:
      UsageError, NotFoundError: a reference names nothing, or more than one thing.
      OverwriteError: something would be lost that was not meant (`removal.chosen`).
    """
    every = members(store)
    if inputs.unfinished:
        every = _in_the_store(every, emit=emit)
        removals = removal.unfinished(every)
    else:
        wanted = named(inputs.references, every, store=store, emit=emit)
        wanted, every = with_their_stores(wanted, every, root=store.root)
        removals = removal.chosen(
            wanted, among=every, descending=inputs.descendants, inputs=inputs.inputs
        )
    files = total = 0
    for one in _gone(inputs, removals, every, emit=emit):
        yield one
        files, total = files + one.files, total + one.bytes
    done = "would be removed" if inputs.dry_run else "removed"
    emit(Note(f"{plural(files, 'file', grouped=True)}, {show_bytes(total)} {done}"))


def _gone(
    inputs: Inputs, removals: Sequence[Removal], every: Sequence[Member], *, emit: Emit
) -> Iterator[Removed]:
    for one in removals:
        if not inputs.dry_run:
            removal.remove(one, emit=emit)
        if one.strangers:
            more = ", ..." if len(one.strangers) > 3 else ""
            others = f"{', '.join(one.strangers[:3])}{more}"
            emit(
                Note(f"{one.member.path}: files that vitctl did not write are left there: {others}")
            )
        yield _removed(
            one.member,
            _REASONS[one.reason],
            files=one.files,
            size=one.bytes,
            removed=not inputs.dry_run,
        )
    if not inputs.unfinished:
        return
    for member in every:  # what killed commands left in what is finished
        if not (left := removal.leftovers(member)):
            continue
        count, size = removal.size_of(left)
        if not inputs.dry_run:
            removal.free_leftovers(member, emit=emit)
        reason = "leftovers of killed commands"
        yield _removed(member, reason, files=count, size=size, removed=not inputs.dry_run)


def _removed(
    member: Member, reason: str | None, *, files: int, size: int, removed: bool
) -> Removed:
    return Removed(member.path, member.id, member.kind, files, size, removed, reason)


def _in_the_store(every: Sequence[Member], *, emit: Emit) -> list[Member]:
    """Those that no link leads to."""
    elsewhere = removal.behind_links(every)
    if elsewhere:
        more = f" and {len(elsewhere) - 1:,} more" if len(elsewhere) > 1 else ""
        emit(Note(f"behind symbolic links, and left as it is: {elsewhere[0].path}{more}"))
    paths = {str(member.path) for member in elsewhere}
    return [member for member in every if str(member.path) not in paths]
