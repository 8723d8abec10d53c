"""A store in which commands find what they would make, and make nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.drafts import Draft
from vitctl.artifacts.manifest import Recipe
from vitctl.artifacts.run_draft import RunDraft
from vitctl.artifacts.runs import Run
from vitctl.artifacts.store import Store
from vitctl.errors import VitctlError
from vitctl.events import Emit, silent
from vitctl.places import Place


class NotMadeError(VitctlError):
    """The store has no artifact of `recipe`. `step`: of a run that was begun, the newest checkpoint
    that training to the requested step would go on from; None without one."""

    def __init__(self, recipe: Recipe, *, step: int | None = None) -> None:
        self.recipe, self.step = recipe, step
        super().__init__(f"{recipe.stage} {recipe.id[:8]} is not in the store")


class LookupStore(Store):
    """Answers a command with what is finished in the store, and raises `NotMadeError` where the
    command would begin to work. Nothing is written or locked, and files are not hashed: what is
    damaged counts as there until the command itself looks. For one process."""

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
        kind: type[Draft] = Draft,
    ) -> Iterator[Draft]:
        path = self._place(recipe, name=name, out=out)
        finished = self.made(recipe, out=out)
        if finished is None:
            raise NotMadeError(recipe)
        yield kind(path, recipe, finished=finished)

    @contextmanager
    def open_run(
        self,
        recipe: Recipe,
        *,
        name: str,
        out: Place | Path | None = None,
        force: bool = False,
        emit: Emit = silent,
        kind: type[RunDraft] = RunDraft,
    ) -> Iterator[RunDraft]:
        raise NotMadeError(recipe)
        yield

    def earlier_result(
        self,
        recipe: Recipe,
        step: int,
        *,
        name: str,
        out: Place | Path | None = None,
        emit: Emit = silent,
    ) -> Artifact:
        """The checkpoint of a step, whether a command was answered with it before or not. Raises
        `NotMadeError`."""
        path = self._place(recipe, name=name, out=out)
        try:
            run = Run.load(path)
            steps = run.steps()
        except VitctlError:
            raise NotMadeError(recipe) from None
        if run.info.id != recipe.id:
            raise NotMadeError(recipe)
        answer = step if run.info.chosen is None else run.info.chosen
        if answer not in steps:
            raise NotMadeError(recipe, step=max((one for one in steps if one < step), default=None))
        return run.checkpoint(answer)
