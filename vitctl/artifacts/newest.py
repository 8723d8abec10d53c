"""The newest artifact of a kind: what a command takes where no input is named.

Nothing older is taken in silence because the newest is damaged or was edited: that would measure
or continue another model than the one that was meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.catalog import Catalog
from vitctl.artifacts.files import RUN
from vitctl.artifacts.kinds import CHECKPOINT, KINDS
from vitctl.artifacts.manifest import MANIFEST
from vitctl.artifacts.order import Age
from vitctl.artifacts.runs import CHECKPOINTS, Run
from vitctl.errors import InputError, NotFoundError, VitctlError
from vitctl.places import Place

_ALTERNATIVES = 3


def anything(artifact: Artifact) -> bool:
    return True


@dataclass(frozen=True)
class PossibleNewest:
    """What may be the newest: an artifact whose files were not looked at yet, or why it cannot be
    read. `run` is the one that it lies in, if that can be read."""

    path: Place
    order: Age
    artifact: Artifact | None
    problem: str | None = None
    run: Run | None = None

    def damage(self) -> str | None:
        """Why it cannot be used, as a sentence; None if it can."""
        if self.artifact is None:
            return self.problem
        try:
            Artifact.load(self.path)
        except VitctlError as error:
            return error.message
        return None

    @property
    def reference(self) -> str:
        """How a person names it."""
        if self.run is None or self.artifact is None:
            return str(self.path)
        return f"{self.run.path}@{self.path.name}"

    def earlier(self) -> Iterator[PossibleNewest]:
        """Earlier checkpoints of the same run, the newest first."""
        if self.run is None:
            return
        for step in reversed(self.run.steps()):
            if step < int(self.path.name):
                yield _candidate(self.run.place(step), run=self.run)


def newest(
    store: Catalog, kind: str, *, wanted: Callable[[Artifact], bool] = anything
) -> Artifact | None:
    """The artifact of a kind that was finished last, of those that are `wanted`; of a run, its
    newest checkpoint. None if there is none.

    Raises InputError if that one is damaged, and names others.
    """
    candidates = _ranked(store, kind)
    for index, candidate in enumerate(candidates):
        if candidate.artifact is not None and not wanted(candidate.artifact):
            continue
        problem = candidate.damage()
        if problem is None:
            return candidate.artifact
        others = _whole([*candidate.earlier(), *candidates[index + 1 :]], wanted)
        listed = " or ".join(one.reference for one in islice(others, _ALTERNATIVES))
        raise InputError(
            f"the newest {kind} cannot be used: {problem}",
            hint=f"name another one: {listed}"
            if listed
            else f"see what is wrong: vitctl verify --deep {candidate.reference}",
        )
    return None


def newest_whole(store: Catalog, kind: str) -> Artifact | None:
    """Like `newest`, but damaged ones are passed over: for what only looks."""
    return next((one.artifact for one in _whole(_ranked(store, kind), anything)), None)


def _whole(
    candidates: list[PossibleNewest], wanted: Callable[[Artifact], bool]
) -> Iterator[PossibleNewest]:
    for candidate in candidates:
        if candidate.artifact is None or not wanted(candidate.artifact):
            continue
        if candidate.damage() is None:
            yield candidate


def _ranked(store: Catalog, kind: str) -> list[PossibleNewest]:
    """Those of a store, the newest first."""
    several = store.each_directory(lambda directory: list(_at(directory, kind)))
    candidates = [candidate for some in several for candidate in some]
    return sorted(candidates, key=lambda candidate: candidate.order, reverse=True)


def _at(directory: Place, kind: str) -> Iterator[PossibleNewest]:
    """What one folder of a store has of a kind: nothing, or one."""
    try:
        entry = Catalog.load(directory, check=False)
    except NotFoundError:  # a draft, or a folder of something else
        return
    except (VitctlError, OSError) as error:
        # What it is, only the folder says.
        if kind not in KINDS or directory.parent.name in KINDS[kind].stages:
            yield PossibleNewest(directory, _changed(directory), None, str(error))
        return
    if isinstance(entry, Run):
        steps = entry.steps() if kind == CHECKPOINT.name else []
        if steps:
            yield _candidate(entry.place(entry.named_step(steps)), run=entry)
    elif entry.kind == kind:
        yield PossibleNewest(directory, entry.order, entry)


def _candidate(path: Place, *, run: Run) -> PossibleNewest:
    try:
        checkpoint = Artifact.load(path, check=False)
    except (VitctlError, OSError) as error:
        return PossibleNewest(path, _changed(path), None, str(error), run)
    return PossibleNewest(path, checkpoint.order, checkpoint, None, run)


def _changed(directory: Place) -> Age:
    """When what cannot be read was written, in place of `Artifact.order`: by the newest file."""
    names: list[Place] = [directory / MANIFEST, directory / RUN]
    with suppress(VitctlError, OSError):
        names += [child / MANIFEST for child in (directory / CHECKPOINTS).children()]
    times = []
    for name in names:
        with suppress(VitctlError, OSError):
            times.append(name.stat().st_mtime_ns)
    newest_ns = max(times, default=0)
    return Age.by_file(directory, changed_ns=newest_ns)
