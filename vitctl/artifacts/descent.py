"""The artifacts of a store and which was made from which, as removing one has to know."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from vitctl.artifacts.artifact import Artifact, load_if_readable
from vitctl.artifacts.catalog import Catalog
from vitctl.artifacts.drafts import read_note
from vitctl.artifacts.manifest import Parent
from vitctl.artifacts.runs import CHECKPOINTS, Run
from vitctl.errors import NotFoundError, UsageError, VitctlError
from vitctl.places import Place, place

UNKNOWN = "unknown"

_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Member:
    """What can go as one: an artifact, a run with its checkpoints, one checkpoint of a run, or work
    that was never finished.

    Attributes:
      path: its folder, below the base that it was looked for in: nothing is removed through a link
        between them.
      kind: of the artifact, "run", of unfinished work what it was to become.
      id: of the artifact or run; None where nothing readable tells it.
      ids: of all in it that others can descend from.
      parents: ids of what it and all in it were made from.
      recorded: of these inputs the id and the place where each lay then, as far as that is known.
      entry: the artifact or run; None where it is unfinished or damaged.
      unfinished: nothing was ever finished here: a draft, or a run without a checkpoint.
    """

    path: Place
    kind: str
    id: str | None
    ids: frozenset[str]
    parents: frozenset[str]
    entry: Artifact | Run | None
    unfinished: bool = False
    recorded: frozenset[tuple[str, str]] = frozenset()

    @property
    def run_around(self) -> Place | None:
        """The folder of the run that a checkpoint lies in; None of all else."""
        return self.path.parent.parent if self.path.parent.name == CHECKPOINTS else None

    @property
    def whole(self) -> Place:
        """The folder of an artifact or run, of a checkpoint that of the run around it."""
        return self.run_around or self.path

    @property
    def store(self) -> str:
        """The folder that is the root of its store, if it lies in one."""
        return str(self.whole.parent.parent)


def members(catalog: Catalog) -> list[Member]:
    """Everything in a store that can go as one, in the order of the folders."""
    return [member for some in catalog.each_directory(_at) for member in some]


def member_at(path: Place) -> Member | None:
    """What lies in a folder, wherever that is; None where nothing of ours does."""
    return next(iter(_at(path)), None)


def below(member: Member, root: Place) -> Member:
    """The same with the store as the base of its path if it lies there, else with the folder around
    it: what was named by a link, or lies behind one in the store, is not there to be removed."""
    if member.path.local is None:
        return member
    folder = member.whole
    path = folder.parent / folder.name
    if root.local is not None:
        absolute = place(os.path.abspath(str(folder)))
        # A store may be named by more than one path: compared without links on the way, too.
        for at, base in (
            (absolute, place(os.path.abspath(root.local))),
            (absolute.parent.resolve() / absolute.name, root.resolve()),
        ):
            inside = at.inside(base)
            if inside and (root / inside).resolve() == folder.resolve():
                path = root / inside
                break
    if member.run_around is not None:
        path = path / CHECKPOINTS / member.path.name
    return replace(member, path=path)


def store_around(member: Member) -> Place | None:
    """The root of the store that a member lies in as `Store` would place it, below the folder of
    its stage; None for what lies elsewhere, as with `--out`."""
    if not isinstance(member.entry, Artifact | Run):
        return None
    entry = member.entry
    stage = entry.info.stage if isinstance(entry, Run) else entry.manifest.stage
    folder = member.whole
    ways = [folder]
    if folder.local is not None:
        absolute = place(os.path.abspath(str(folder)))
        ways += [absolute, absolute.parent.resolve() / absolute.name]
    return next((way.parent.parent for way in ways if way.parent.name == stage), None)


def checkpoint_of(run: Run, step: int) -> Member:
    """One checkpoint of a run. Raises NotFoundError, which names the nearest that are kept."""
    place = run.place(step)
    if not place.is_dir():
        run.checkpoint(step, check=False)
    artifact = load_if_readable(place)
    if artifact is None:
        return Member(place, "checkpoint", None, _NONE, _NONE, None)
    return _of_artifact(place, artifact)


def descendants(roots: Iterable[Member], *, among: Sequence[Member]) -> list[Member]:
    """The members that were made from the roots or from what was made from them, and would miss
    it: the nearest first. What has a copy with the same id that stays and that its descendants
    find, in their own store or where it lay when they were made, has none that would miss it."""
    leaving = list(roots)
    count = len(leaving)
    origins = _Origins([*leaving, *among])
    while True:
        gone = {(str(member.whole), id) for member in leaving for id in member.ids}
        ids_gone = {id for _, id in gone}
        more = [
            member
            for member in _others(leaving, among=among)
            if any(
                all((folder, id) in gone for folder in origins.possible(member, id))
                for id in member.parents & ids_gone
            )
        ]
        if not more:
            return leaving[count:]
        leaving += more


def only_needed_by(leaving: Sequence[Member], *, among: Sequence[Member]) -> list[Member]:
    """The inputs, and theirs, of what is leaving that nothing else was made from. Of copies in
    several stores those are the inputs that what is leaving finds."""
    origins = _Origins([*leaving, *among])
    users: dict[str, set[str]] = {}
    for member in origins.members:
        for folder in {f for id in member.parents for f in origins.possible(member, id)}:
            users.setdefault(folder, set()).add(str(member.path))
    taken = list(leaving)
    while True:
        going = {str(member.path) for member in taken}
        needed = {f for member in taken for id in member.parents for f in origins.known(member, id)}
        more = [
            member
            for member in _others(taken, among=among)
            if (path := str(member.path)) in needed and users[path] <= {*going, path}
        ]
        if not more:
            return taken[len(leaving) :]
        taken += more


class _Origins:
    """Which folders give a member its inputs, where one artifact may lie in several stores."""

    def __init__(self, members: Iterable[Member]) -> None:
        self.members = list({str(member.path): member for member in members}.values())
        self._holders: dict[str, dict[str, Member]] = {}
        for member in self.members:
            for id in member.ids:
                self._holders.setdefault(id, {})[str(member.whole)] = member

    def known(self, member: Member, id: str) -> set[str]:
        """Those of its own store, as what is copied with a whole store is read there; without any,
        the one at the place that was recorded."""
        holders = self._holders.get(id, {})
        own = {folder for folder, holder in holders.items() if holder.store == member.store}
        if own or not holders:
            return own
        places = [place for recorded, place in member.recorded if recorded == id]
        return {f for f, holder in holders.items() if any(_is_at(holder, p) for p in places)}

    def possible(self, member: Member, id: str) -> set[str]:
        """The same, or all that have the id where none is known: that a store was moved takes no
        input away from what lies in it."""
        return self.known(member, id) or set(self._holders.get(id, {}))


def _is_at(holder: Member, recorded: str) -> bool:
    """If a place lies in the folder of an artifact or run."""
    try:
        return place(recorded).inside(holder.whole.resolve()) is not None
    except UsageError:  # of a kind of store that a later version knows
        return False


def _others(leaving: Sequence[Member], *, among: Sequence[Member]) -> list[Member]:
    """The members but for those that leave, and the runs that leaving checkpoints lie in."""
    going = {str(path) for member in leaving for path in (member.path, member.whole)}
    return [member for member in among if str(member.path) not in going]


def _at(path: Place) -> Iterator[Member]:
    try:
        entry = Catalog.load(path, check=False)
    except NotFoundError:
        note = read_note(path)
        if note is not None:
            kind, parents = note.get("kind", UNKNOWN), frozenset(note.get("parents", "").split())
            yield Member(path, kind, note.get("id"), _NONE, parents, None, unfinished=True)
        return
    except VitctlError:
        # Others may have been made from the checkpoints of a run whose own file is damaged.
        inner = _readable_checkpoints(path)
        ids = frozenset(artifact.id for artifact in inner)
        inputs = [parent for a in inner for parent in a.manifest.parents]
        parents = frozenset(parent.id for parent in inputs) - ids
        yield Member(path, UNKNOWN, None, ids, parents, None, recorded=_recorded(inputs))
        return
    yield _of_run(path, entry) if isinstance(entry, Run) else _of_artifact(path, entry)


def _readable_checkpoints(path: Place) -> list[Artifact]:
    folder = path / CHECKPOINTS
    steps = folder.children() if folder.is_dir() else []
    return [artifact for step in steps if (artifact := load_if_readable(step)) is not None]


def _of_artifact(path: Place, artifact: Artifact) -> Member:
    inputs = artifact.manifest.parents
    parents = frozenset(parent.id for parent in inputs)
    ids, recorded = frozenset([artifact.id]), _recorded(inputs)
    return Member(path, artifact.kind, artifact.id, ids, parents, artifact, recorded=recorded)


def _of_run(path: Place, run: Run) -> Member:
    steps = run.steps()
    places = [*(run.place(step) for step in steps), *run.batches()]
    inner = [artifact for p in places if (artifact := load_if_readable(p)) is not None]
    ids = frozenset([run.info.id, *(artifact.id for artifact in inner)])
    own = [*run.info.parents, *(parent for a in inner for parent in a.manifest.parents)]
    parents, recorded = frozenset(parent.id for parent in own) - ids, _recorded(own)
    unfinished = not steps
    return Member(path, "run", run.info.id, ids, parents, run, unfinished, recorded)


def _recorded(parents: Iterable[Parent]) -> frozenset[tuple[str, str]]:
    return frozenset((parent.id, parent.path) for parent in parents if parent.path is not None)
