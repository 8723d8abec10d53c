"""Where artifacts live, and how they are found.

    <store>/<stage>/<name>-<first 8 of the id>/

Names are for people, ids decide: the same recipe under another name is found, not made again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vitctl.artifacts.artifact import Artifact, load_if_finished
from vitctl.artifacts.drafts import Draft, claim, clear
from vitctl.artifacts.files import DRAFT, LOCK
from vitctl.artifacts.locks import exclusive
from vitctl.artifacts.manifest import MANIFEST, Parent, Recipe
from vitctl.artifacts.runs import CHECKPOINTS, RUN, Run, RunDraft, new_info, write_info
from vitctl.errors import InputError, OverwriteError, UsageError, VitctlError
from vitctl.events import Emit, silent

_SHORT = 8


class Store:
    """A directory of artifacts. Creating the object touches nothing on disk."""

    def __init__(self, root: Path | str = "artifacts") -> None:
        self.root = Path(root)

    # Making

    @contextmanager
    def open(
        self,
        recipe: Recipe,
        *,
        name: str,
        out: Path | None = None,
        force: bool = False,
        emit: Emit = silent,
    ) -> Iterator[Draft]:
        """The draft of a recipe, locked. `draft.finished` is set if there is nothing to do."""
        path = self._place(recipe, name=name, out=out)
        with exclusive(path / LOCK, emit=emit, waiting=_waiting(path)):
            done = load_if_finished(path)
            if done is not None and done.id != recipe.id:
                if not force:
                    raise OverwriteError(
                        f"{path} already holds another artifact ({done.kind} {done.id[:8]})",
                        hint="choose another --out, or pass --force to replace it",
                    )
                done = None
            if done is not None and not force:
                yield Draft(path, recipe, finished=Artifact.load(path))
                return
            if force and path.is_dir() and _is_ours(path):
                clear(path)
            claim(path, recipe=recipe)
            yield Draft(path, recipe)

    @contextmanager
    def open_run(
        self,
        recipe: Recipe,
        *,
        name: str,
        out: Path | None = None,
        force: bool = False,
        emit: Emit = silent,
    ) -> Iterator[RunDraft]:
        """The run of a recipe, locked, new or with the checkpoints it has."""
        path = self._place(recipe, name=name, out=out)
        with exclusive(path / LOCK, emit=emit, waiting=_waiting(path)):
            if (path / RUN).exists():
                run = Run.load(path)
                if run.info.id != recipe.id and not force:
                    raise OverwriteError(
                        f"{path} already holds another run ({run.info.stage} {run.info.id[:8]})",
                        hint="choose another --out, or pass --force to replace it",
                    )
                if run.info.id == recipe.id and not force:
                    yield RunDraft(path, run.info, recipe)
                    return
            if force and path.is_dir() and _is_ours(path):
                clear(path)
            claim(path, recipe=recipe)
            info = new_info(recipe, name=name)
            write_info(path, info)
            (path / DRAFT).unlink(missing_ok=True)
            yield RunDraft(path, info, recipe)

    # Finding

    def entries(self) -> Iterator[Artifact | Run]:
        """Every run and finished artifact of the store, damaged ones left out; oldest first."""
        found: list[tuple[int, str, Artifact | Run]] = []
        for directory in self._directories():
            try:
                entry = self.load(directory)
            except VitctlError:
                continue
            mark = directory / (RUN if isinstance(entry, Run) else MANIFEST)
            found.append((mark.stat().st_mtime_ns, str(directory), entry))
        yield from (entry for _, _, entry in sorted(found, key=lambda row: row[:2]))

    def unreadable(self) -> Iterator[tuple[Path, VitctlError]]:
        """Directories of the store that are neither a run nor an undamaged artifact, and why."""
        for directory in self._directories():
            try:
                self.load(directory)
            except VitctlError as error:
                yield directory, error

    @staticmethod
    def load(path: Path) -> Artifact | Run:
        """The run or artifact at `path`."""
        return Run.load(path) if (path / RUN).exists() else Artifact.load(path)

    def find(self, id: str) -> Artifact | None:
        """The finished artifact (a checkpoint, too) with this id."""
        for entry in self.entries():
            if isinstance(entry, Artifact):
                if entry.id == id:
                    return entry
                continue
            for step in entry.steps():
                candidate = load_if_finished(entry.place(step))
                if candidate is not None and candidate.id == id:
                    return candidate
        return None

    def parent(self, parent: Parent) -> Artifact | None:
        """The artifact behind a recorded input, where it was or anywhere in this store.

        Raises InputError if it is there but no longer what it was (its digest differs).
        """
        candidate = load_if_finished(Path(parent.path)) if parent.path else None
        if candidate is None or candidate.id != parent.id:
            candidate = self.find(parent.id)
        if candidate is None:
            return None
        if candidate.digest != parent.digest:
            raise InputError(
                f"{candidate.path} is not what it was: its digest is {candidate.digest[:8]}, "
                f"recorded was {parent.digest[:8]}",
                hint=f"see what changed: vitctl verify --deep {candidate.path}",
            )
        return candidate

    def newest(self, kind: str) -> Artifact | None:
        """The most recently finished artifact of a kind; of a run, its newest checkpoint."""
        best: tuple[int, Artifact] | None = None
        for entry in self.entries():
            if isinstance(entry, Run):
                steps = entry.steps()
                if kind != "checkpoint" or not steps:
                    continue
                artifact = load_if_finished(entry.place(steps[-1]))
                if artifact is None:
                    continue
            elif entry.kind == kind:
                artifact = entry
            else:
                continue
            when = (artifact.path / MANIFEST).stat().st_mtime_ns
            if best is None or when >= best[0]:
                best = (when, artifact)
        return best[1] if best else None

    # Places

    def _place(self, recipe: Recipe, *, name: str, out: Path | None) -> Path:
        if out is not None:
            return out
        folder = self.root / recipe.stage
        short = recipe.id[:_SHORT]
        if folder.is_dir():
            for directory in sorted(folder.iterdir()):
                if directory.name.endswith(f"-{short}") and directory.is_dir():
                    return directory
        return folder / f"{checked_name(name)}-{short}"

    def _directories(self) -> Iterator[Path]:
        if not self.root.is_dir():
            return
        for stage in sorted(self.root.iterdir()):
            if not stage.is_dir() or stage.name.startswith("."):
                continue
            for directory in sorted(stage.iterdir()):
                if directory.is_dir() and not directory.name.startswith("."):
                    yield directory


def checked_name(name: str) -> str:
    """A name for a folder, or UsageError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise UsageError(
            f"--name {name!r} is not usable as a folder name",
            hint="use letters, digits, '.', '_' and '-' (at most 100)",
        )
    return name


def slug(text: str, *, default: str) -> str:
    """A folder name made of any text."""
    kept = re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-._")[:60]
    return kept or default


def _is_ours(path: Path) -> bool:
    """Whether a directory is an artifact, a run or a draft, so that --force may empty it."""
    ours = (MANIFEST, RUN, DRAFT, CHECKPOINTS)
    return any((path / mark).exists() for mark in ours)


def _waiting(path: Path) -> str:
    return f"another vitctl works on {path}; waiting for it to finish"
