"""A store that several processes work in together: process 0 locks, all get the draft or run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vitctl import processes
from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.crew.agreement import find_place, load, same_inputs, show_place
from vitctl.artifacts.crew.drafts import CrewDraft, CrewRun
from vitctl.artifacts.drafts import Draft
from vitctl.artifacts.manifest import Recipe
from vitctl.artifacts.run_draft import RunDraft
from vitctl.artifacts.runs import Run
from vitctl.artifacts.store import Store, closed
from vitctl.events import Emit, silent
from vitctl.places import Place


def of(store: Store) -> Store | CrewStore:
    """What opens drafts and runs of a store for this process."""
    return store if processes.count() == 1 else CrewStore(store)


def require_whole(artifact: Artifact) -> None:
    """`artifact.require_whole` in all processes; one reads."""
    artifact.refuse(processes.share(f"{artifact.id} is whole", artifact.check_contents))


class CrewStore:
    """A store that several processes work in together."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @contextmanager
    def open(
        self,
        recipe: Recipe,
        *,
        name: str,
        out: Place | Path | None = None,
        force: bool = False,
        emit: Emit = silent,
        resumable: bool = True,
    ) -> Iterator[Draft]:
        """`Store.open`: process 0 locks the draft, and all get it."""
        same_inputs(recipe)
        processes.mark("wait")
        if processes.first():
            with self._store.open(
                recipe,
                name=name,
                out=out,
                force=force,
                emit=emit,
                resumable=resumable,
                kind=CrewDraft,
            ) as draft:
                show_place(draft.path, root=self._store.root)
                processes.mark("start")
                done = draft.finished
                processes.share("finished", lambda: done.digest if done else None)
                yield draft
            return
        path = find_place(root=self._store.root, out=out).path
        processes.mark("start")
        digest: str | None = processes.share("finished", lambda: None)
        yield CrewDraft(path, recipe, finished=load(path, digest=digest) if digest else None)

    @contextmanager
    def open_run(
        self,
        recipe: Recipe,
        *,
        name: str,
        out: Place | Path | None = None,
        force: bool = False,
        emit: Emit = silent,
    ) -> Iterator[RunDraft]:
        """`Store.open_run`: process 0 locks the run, and all get it."""
        same_inputs(recipe)
        processes.mark("wait")
        if processes.first():
            with self._store.open_run(
                recipe, name=name, out=out, force=force, emit=emit, kind=CrewRun
            ) as draft:
                show_place(draft.path, root=self._store.root)
                processes.mark("start")
                yield draft
            return
        shown = find_place(root=self._store.root, out=out)
        processes.mark("start")
        with shown.following():
            yield from closed(CrewRun(shown.path, Run.load(shown.path).info, recipe))

    def earlier_result(
        self,
        recipe: Recipe,
        step: int,
        *,
        name: str,
        out: Place | Path | None = None,
        emit: Emit = silent,
    ) -> Artifact | None:
        """None: what is found without the lock, all would have to find."""

    def made(self, recipe: Recipe, *, out: Place | Path | None = None) -> Artifact | None:
        """None, as `earlier_result`."""
