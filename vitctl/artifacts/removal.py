"""Taking artifacts away: what must not go, what stays of a folder, and in which order.

Whatever is killed on the way, what is left never looks finished, and says that it is ours: `vitctl
rm --unfinished` takes the rest.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.descent import Member, descendants, member_at, only_needed_by
from vitctl.artifacts.drafts import clear, sweep
from vitctl.artifacts.files import LOCK, NOT_CONTENT
from vitctl.artifacts.run_draft import RunDraft
from vitctl.artifacts.runs import CHECKPOINTS, Run, is_of_a_run
from vitctl.errors import OverwriteError
from vitctl.events import Emit
from vitctl.locks.exclusive import exclusive, is_locked
from vitctl.places import Place, nofollow
from vitctl.places.based_path import TEMPORARY

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
            f"{'it' if len(named) == 1 else 'them'}",
            hint="--descendants keep leaves those without their inputs; --descendants remove "
            "removes them too; add --dry-run to look first",
        )
    leaving = [*named, *below] if descending == "remove" else list(named)
    above = only_needed_by(leaving, among=among) if inputs else []
    going = {str(member.path.resolve()) for member in (*leaving, *above)}
    for member in (*leaving, *above):
        _refuse_what_is_needed(member, going=going)
    # The farthest descendants first, so that what is left on the way always has its inputs.
    reasons: dict[Reason, Sequence[Member]] = {
        "descendant": leaving[len(named) :][::-1],
        "named": named,
        "input": above,
    }
    return [_sized(member, reason) for reason, some in reasons.items() for member in some]


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
    """Take it away. Raises OverwriteError if somebody began to work on it meanwhile."""
    path = removal.member.path
    run = path.parent.parent if path.parent.name == CHECKPOINTS else None
    locked = path if run is None else run
    _refuse_working(locked)
    with (
        ExitStack() as after,
        exclusive(locked / LOCK, emit=emit, waiting=_waiting(locked)),
    ):
        if run is not None:
            # The run's folder stays, with the other checkpoints.
            clear(path, keep=frozenset(removal.strangers))
            path.remove_if_empty()
            return
        now = member_at(path)
        # A draft has the id of the artifact that it becomes.
        was_finished = removal.member.unfinished and now is not None and not now.unfinished
        if was_finished or (now.id if now is not None else None) != removal.member.id:
            raise OverwriteError(f"{path} is not what it was when this command looked at it")
        clear(path, keep=frozenset(removal.strangers))
        after.callback(path.remove_if_empty)


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


def _sized(member: Member, reason: Reason) -> Removal:
    strangers = tuple(_strangers(member))
    # Of links only the links themselves go.
    left_out = {*strangers, *member.path.links()}
    own: list[Place] = [c for c in member.path.children() if c.name not in left_out]
    files, total = size_of(own)
    return Removal(member, reason, files, total, strangers)


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


def _refuse_what_is_needed(member: Member, *, going: Container[str]) -> None:
    path = member.path
    is_checkpoint = path.parent.name == CHECKPOINTS
    run_path = path.parent.parent if is_checkpoint else path
    _refuse_working(run_path)
    run = Run.load(run_path) if is_checkpoint else member.entry
    if not isinstance(run, Run):
        return
    for pin in run.pins.held():
        if is_checkpoint and str(pin.step) != path.name:
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
