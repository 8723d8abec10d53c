"""What lies in a store, and how it is found: by id, kind, age, or as an input of another."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from vitctl.artifacts.artifact import Artifact, load_if_readable
from vitctl.artifacts.files import RUN
from vitctl.artifacts.manifest import Parent
from vitctl.artifacts.order import Age
from vitctl.artifacts.runs import Run
from vitctl.errors import InputError, NotFoundError, UsageError, VitctlError
from vitctl.places import Place, place

R = TypeVar("R")

SHORT = 8
"""How many digits of its id the folder of an artifact or run is named by."""


class Catalog:
    """The artifacts and runs below `root`. Nothing here writes."""

    def __init__(self, root: Place | Path | str = "artifacts") -> None:
        self.root = place(root)

    def entries(
        self, *, check: bool = True, named: Callable[[str], bool] | None = None
    ) -> Iterator[Artifact | Run]:
        """Every run and finished artifact of the store, oldest first. Those without a readable
        manifest are left out, with `check` also those whose files are missing or cut short.

        `named` is asked of each folder's name before anything in the folder is read: a manifest
        takes half a millisecond, a name nearly nothing.
        """

        def loaded(directory: Place) -> list[tuple[Age, Artifact | Run]]:
            try:
                entry = self.load(directory, check=check)
                return [(entry.order, entry)]
            except (VitctlError, OSError):
                return []

        directories = self.directories(named=named)
        entries = [row for rows in self.root.each(loaded, directories) for row in rows]
        yield from (entry for _, entry in sorted(entries, key=lambda row: row[0]))

    def each_directory(self, function: Callable[[Place], R]) -> list[R]:
        """`function` of every directory, in order; in a bucket of several at a time."""
        return self.root.each(function, self.directories())

    def directories(self, *, named: Callable[[str], bool] | None = None) -> Iterator[Place]:
        """Every directory where an artifact, run or draft of this store would lie; with `named`
        those whose names fit."""
        for stage in folders(self.root):
            yield from folders(stage, named=named)

    @staticmethod
    def load(path: Place, *, check: bool = True) -> Artifact | Run:
        """The run or artifact at `path`."""
        return Run.load(path) if (path / RUN).is_file() else Artifact.load(path, check=check)

    def find(self, id: str) -> Artifact | None:
        """A finished artifact (a checkpoint, too) with this id; its files are not checked."""
        return next(self._with_id(id), None)

    def _with_id(self, id: str) -> Iterator[Artifact]:
        """First those whose folders say so, then the others: checkpoints, and whatever was made
        with `--out`. One may come twice."""
        for entry in self.entries(check=False, named=lambda name: tail_of(name) == id[:SHORT]):
            if isinstance(entry, Artifact) and entry.id == id:
                yield entry
        for artifact in self.finished():
            if artifact.id == id:
                yield artifact

    def finished(self) -> Iterator[Artifact]:
        """Every artifact with a readable manifest, the checkpoints of runs among them."""
        for entry in self.entries(check=False):
            if isinstance(entry, Artifact):
                yield entry
                continue
            for step in entry.steps():
                checkpoint = load_if_readable(entry.place(step))
                if checkpoint is not None:
                    yield checkpoint

    def parent(self, parent: Parent) -> Artifact | None:
        """The artifact behind a recorded input, where it was or anywhere in this store.

        Raises InputError if it is there but no longer what it was (its digest differs).
        """

        changed: Artifact | None = None
        for candidate in self._candidates(parent):
            if candidate.id == parent.id and candidate.digest == parent.digest:
                return candidate
            if candidate.id == parent.id:
                changed = changed or candidate
        if changed is None:
            return None
        raise InputError(
            f"{changed.path} is not what it was: its digest is {changed.digest[:8]}, "
            f"recorded was {parent.digest[:8]}",
            hint=f"see what changed: vitctl verify --deep {changed.path}",
        )

    def _candidates(self, parent: Parent) -> Iterator[Artifact]:
        """Where it was, then whatever has its id here. A bucket that this store is not in is asked
        last: copies of a store must do without it."""
        try:
            recorded = place(parent.path) if parent.path else None
        except UsageError:  # of a kind of store that a later version knows
            recorded = None
        places = [] if recorded is None else [recorded]
        away = any(p.remote is not None and p.inside(self.root) is None for p in places)
        for path in () if away else places:
            yield from filter(None, [load_if_readable(path)])
        yield from self._with_id(parent.id)
        for path in places if away else ():
            yield from filter(None, [load_if_readable(path)])


def tail_of(name: str) -> str | None:
    """What the name of a folder says of the id in it: its first `SHORT` digits, None without."""
    match = re.fullmatch(rf".+-([0-9a-f]{{{SHORT}}})", name, re.DOTALL)
    return match[1] if match else None


def folders(parent: Place, *, named: Callable[[str], bool] | None = None) -> list[Place]:
    """The visible folders in `parent` (with `named` those whose names fit), sorted; none where
    there is no such place."""
    try:
        children = parent.children()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise NotFoundError(f"{parent} cannot be listed: {error.strerror}") from None
    return [
        child
        for child in children
        if not child.name.startswith(".")
        and (named is None or named(child.name))
        and child.is_dir()
    ]
