"""Removing artifacts: which must not be removed, what stays of a folder, and in which order.

Whatever is killed on the way, what is left never looks finished, and says that it is ours: `vitctl
rm --unfinished` takes the rest.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Literal

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.descent import (
    Member,
    checkpoint_of,
    descendants,
    member_at,
    only_needed_by,
)
from vitctl.artifacts.drafts import clear, sweep
from vitctl.artifacts.files import LOCK, NOT_CONTENT
from vitctl.artifacts.manifest import MANIFEST
from vitctl.artifacts.run_draft import RunDraft
from vitctl.artifacts.runs import Run, is_of_a_run
from vitctl.errors import OverwriteError, VitctlError
from vitctl.events import Emit
from vitctl.locks.exclusive import exclusive, is_locked
from vitctl.places import Place, guards, nofollow
from vitctl.places.based_path import TEMPORARY
from vitctl.text.quoting import quoted

Descendants = Literal["refuse", "keep", "remove"]
Reason = Literal["named", "descendant", "input", "unfinished"]


@dataclass(frozen=True)
class Removal:
    """One member that goes, why, and how much of the disk that gives back."""

    member: Member
    reason: Reason
    files: int
    bytes: int
    strangers: tuple[str, ...] = ()
    """Names in its folder that are not its own: they stay, and so does the folder."""
    going: frozenset[str] = frozenset()
    """Whole paths of all that goes with it."""


def chosen(
    named: Sequence[Member],
    *,
    among: Sequence[Member],
    descending: Descendants = "refuse",
    inputs: bool = False,
) -> list[Removal]:
    """What goes when these go, what descends from others before them.

    Raises OverwriteError where something would be lost that was not meant: what others in the store
    were made from (with `descending="refuse"`), what a process works on, a checkpoint that
    unfinished work begins from.
    """
    below = descendants(named, among=among)
    if below and descending == "refuse":
        shown = ", ".join(str(member.path) for member in below[:3])
        more = f" and {len(below) - 3} more" if len(below) > 3 else ""
        raise OverwriteError(
            f"{shown}{more} {'was' if len(below) == 1 else 'were'} made from "
            f"{named[0].path if len(named) == 1 else 'what is named'}",
            hint="--descendants keep leaves those without their inputs; --descendants remove "
            "removes them too; with --dry-run either only shows what would go",
        )
    leaving = [*named, *below] if descending == "remove" else list(named)
    for member in below:
        _refuse_working(member.whole)  # it may read what is named until it ends
    above = only_needed_by(leaving, among=among) if inputs else []
    going = frozenset(str(member.path.resolve()) for member in (*leaving, *above))
    for member in (*leaving, *above):
        _refuse_working(member.whole)
        _refuse_pinned(member, going=going)
    why: dict[str, Reason] = dict.fromkeys((str(m.path) for m in below), "descendant")
    why |= dict.fromkeys((str(m.path) for m in named), "named")
    removals = [_sized(m, why[str(m.path)], going=going) for m in _last_results_first(leaving)]
    return [*removals, *(_sized(member, "input", going=going) for member in above)]


def _last_results_first(members: Sequence[Member]) -> list[Member]:
    """So that what is left on the way always has its inputs."""
    ordered: list[Member] = []
    rest = list(members)
    while rest:
        needed = frozenset[str]().union(*(member.parents for member in rest))
        # A forged manifest can be its own ancestor.
        last = [member for member in rest if member.ids.isdisjoint(needed)] or rest
        ordered += last
        ended = {str(member.path) for member in last}
        rest = [member for member in rest if str(member.path) not in ended]
    return ordered


def behind_links(among: Sequence[Member]) -> list[Member]:
    """What lies elsewhere: a link in the store leads to it, and nothing is removed through one."""

    def is_there(member: Member) -> bool:
        try:
            member.path.refuse_link()
        except nofollow.LinkError:
            return False
        return True

    return [member for member in among if not is_there(member)]


def unfinished(among: Sequence[Member]) -> list[Removal]:
    """Drafts and runs without any checkpoint that no process works on."""
    return [
        _sized(member, "unfinished")
        for member in among
        if member.unfinished and not is_locked(member.path / LOCK)
    ]


def leftovers(member: Member) -> list[Place]:
    """What killed commands left in a finished artifact, or in a run that has checkpoints: files
    under a passing name, checkpoints that were begun. Nothing of what is being worked on."""
    if member.entry is None or member.unfinished or is_locked(member.path / LOCK):
        return []
    names = [c for c in member.path.children() if c.name.startswith(TEMPORARY) and c.is_file()]
    return [*names, *(member.entry.unfinished() if isinstance(member.entry, Run) else ())]


def free_leftovers(member: Member, *, emit: Emit) -> None:
    """Remove `leftovers`, and pins that hold nothing."""
    entry = member.entry
    with exclusive(member.path / LOCK, emit=emit, waiting=_waiting(member.path)):
        if isinstance(entry, Run):
            RunDraft(entry.path, entry.info, entry.info.recipe).sweep()
        else:
            sweep(member.path)


def remove(removal: Removal, *, emit: Emit) -> None:
    """Take it away. Raises OverwriteError if somebody began to work on it or from it meanwhile."""
    member, path = removal.member, removal.member.path
    whole, is_checkpoint = member.whole, member.run_around is not None
    _refuse_working(whole)
    with (
        ExitStack() as after,
        exclusive(whole / LOCK, emit=emit, waiting=_waiting(whole)),
    ):
        now = _checkpoint_at(path) if is_checkpoint else member_at(path)
        # A draft has the id of the artifact that it becomes.
        was_finished = member.unfinished and now is not None and not now.unfinished
        if was_finished or (now.id if now is not None else None) != member.id:
            raise OverwriteError(f"{path} is not what it was when this command looked at it")
        _unmark(member, going=removal.going)
        clear(path, keep=frozenset(removal.strangers))
        if is_checkpoint:  # its run stays, with the other checkpoints
            path.remove_if_empty()
        else:
            after.callback(path.remove_if_empty)


def _unmark(member: Member, *, going: Container[str]) -> None:
    """Take the manifests of checkpoints away, and put them back if unfinished work pinned one of
    them until then: who pins looks for the manifest after that, so whoever comes second sees the
    other."""
    if isinstance(member.entry, Run):
        run = member.entry
        manifests = [run.place(step) / MANIFEST for step in run.steps()]
    elif member.run_around is not None:
        manifests = [member.path / MANIFEST]
    else:
        return
    taken: list[tuple[Place, bytes]] = []
    try:
        for manifest in manifests:
            guards.check(manifest)
            with suppress(FileNotFoundError):
                content = manifest.read_bytes()
                manifest.remove()
                taken.append((manifest, content))
        _refuse_pinned(member, going=going)
    except BaseException:
        for manifest, content in taken:
            manifest.write_atomic(content)
        raise


def size_of(places: Sequence[Place]) -> tuple[int, int]:
    """Files and bytes of some files and folders."""
    files = total = 0
    for path in places:
        if path.is_dir():
            names = path.files_below()
            sizes = path.sizes(names)
        else:
            names, sizes = [path.name], path.parent.sizes([path.name])
        files += len(names)
        total += sum(size for size in sizes if isinstance(size, int))
    return files, total


def _sized(member: Member, reason: Reason, *, going: frozenset[str] = frozenset()) -> Removal:
    strangers = tuple(_strangers(member))
    if strangers and member.run_around is not None:
        # Training clears away what has no manifest there.
        raise OverwriteError(
            f"{member.path} holds files that are not vitctl's, such as {quoted(strangers[0])}",
            hint="move them to another folder first",
        )
    # Of links only the links themselves go.
    left_out = {*strangers, *member.path.links()}
    own: list[Place] = [c for c in member.path.children() if c.name not in left_out]
    files, total = size_of(own)
    return Removal(member, reason, files, total, strangers, going)


def _strangers(member: Member) -> Iterator[str]:
    """Names directly in the folder of an artifact or run that vitctl did not write there. Of what
    is unfinished or damaged nobody can say."""
    entry = member.entry
    if entry is None:
        return
    own: Container[str] = ()
    if isinstance(entry, Artifact):
        own = {file.path.partition("/")[0] for file in entry.manifest.files} | NOT_CONTENT
    for child in member.path.children():
        is_own = is_of_a_run(child.name) if isinstance(entry, Run) else child.name in own
        if not is_own and not child.name.startswith(TEMPORARY):
            yield child.name


def _checkpoint_at(path: Place) -> Member | None:
    try:
        return checkpoint_of(Run.load(path.parent.parent), int(path.name))
    except VitctlError:
        return None


def _refuse_pinned(member: Member, *, going: Container[str]) -> None:
    """Raise OverwriteError if unfinished work that stays begins from it."""
    around = member.run_around
    run = member.entry if around is None else Run.load(around)
    if not isinstance(run, Run):
        return
    for pin in run.pins.held():
        if around is not None and str(pin.step) != member.path.name:
            continue
        if str(pin.by.resolve()) not in going:
            raise OverwriteError(
                f"{pin.by} is not finished, and begins from {run.path}@{pin.step}",
                hint="finish it with the command that began it, or remove it too",
            )


def _refuse_working(path: Place) -> None:
    path.refuse_link()
    if is_locked(path / LOCK):
        raise OverwriteError(
            f"another vitctl works on {path} now", hint="wait until it ends, or stop it"
        )


def _waiting(path: Place) -> str:
    return f"another vitctl works on {path}; waiting for it to finish"
