"""What is named, as members of a store: damaged and unfinished work, too."""

from __future__ import annotations

from collections.abc import Sequence

from vitctl.artifacts import Artifact, Run, Store
from vitctl.artifacts.descent import Member, below, checkpoint_of, member_at, members, store_around
from vitctl.artifacts.references import LATEST, find, plain_name
from vitctl.artifacts.runs import CHECKPOINTS, run_of
from vitctl.errors import UsageError
from vitctl.events import Emit
from vitctl.places import Place, place
from vitctl.text.quoting import quoted


def named(
    references: Sequence[str], every: Sequence[Member], *, store: Store, emit: Emit
) -> list[Member]:
    """What is named, once each; of a run and its checkpoints the run. `every` are the members of
    the store."""
    known = _MembersByName(every)
    members_named = {
        str(member.path.resolve()): member
        for member in (
            below(_member(reference, known, store=store, emit=emit), store.root)
            for reference in references
        )
    }
    return [
        member
        for member in members_named.values()
        if member.run_around is None or str(member.run_around.resolve()) not in members_named
    ]


def with_their_stores(
    wanted: Sequence[Member], every: Sequence[Member], *, root: Place
) -> tuple[list[Member], list[Member]]:
    """What is named, and all members of the store and of the other stores that it lies in: there,
    too, something may have been made from it."""
    placed: list[Member] = []
    others: dict[str, Place] = {}
    for member in wanted:
        around = None if member.path.inside(root) else store_around(member)
        if around is not None:
            around = others.setdefault(str(around.resolve()), around)
            member = below(member, around)
        placed.append(member)
    return placed, [*every, *(m for other in others.values() for m in members(Store(other)))]


class _MembersByName:
    """The members of a store by their whole paths, by the names of their folders and by these
    without the id: a thousand references are looked up among ten thousand members."""

    def __init__(self, every: Sequence[Member]) -> None:
        self.by_path: dict[str, Member] = {}
        self.by_name: dict[str, list[Member]] = {}
        for member in every:
            self.by_path.setdefault(str(member.path.absolute()), member)
            names = {member.path.name}
            if member.entry is not None:
                names.add(plain_name(member.entry))
            for name in names:
                self.by_name.setdefault(name, []).append(member)


def _member(reference: str, known: _MembersByName, *, store: Store, emit: Emit) -> Member:
    """What a reference names, damaged and unfinished work by its path or the name of its folder."""
    path = place(reference).absolute()
    if reference.partition("@")[0] in (LATEST, "ckpt") and not path.exists():
        raise UsageError(
            f"rm does not take {reference}: what was made last may not be what you mean",
            hint="name what is to be removed; names are in vitctl ls",
        )
    if (at_path := known.by_path.get(str(path))) is not None:
        return at_path
    called = known.by_name.get(reference, [])
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
