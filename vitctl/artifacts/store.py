"""Where artifacts live, and how they are made there.

    <store>/<stage>/<name>-<first 8 of the id>/

Names are for people, ids decide: the same recipe under another name is found, not made again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from vitctl.artifacts.artifact import Artifact, load_if_finished
from vitctl.artifacts.catalog import SHORT, Catalog, folders, tail_of
from vitctl.artifacts.drafts import Draft, claim, clear, is_blank, read_note
from vitctl.artifacts.files import DRAFT, LOCK, RUN
from vitctl.artifacts.manifest import MANIFEST, Recipe
from vitctl.artifacts.run_draft import RunDraft
from vitctl.artifacts.run_info import RunInfo, new_info, write_info
from vitctl.artifacts.runs import Run
from vitctl.errors import (
    DeniedError,
    InterruptedRun,
    OutOfReachError,
    OverwriteError,
    UsageError,
    VitctlError,
)
from vitctl.events import Emit, Note, silent
from vitctl.locks.exclusive import exclusive, remove_stale
from vitctl.places import Place, nofollow, place
from vitctl.text import strict_json
from vitctl.text.quoting import quoted

R = TypeVar("R")


class Store(Catalog):
    """A directory of artifacts, or a part of a bucket. Creating the object touches nothing."""

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
        """The draft of a recipe, locked. `draft.finished` is set if there is nothing to do.

        Where making it fails, what is there stays for the same command to continue; a draft without
        any file goes, as nothing can be continued, and so does one that is not `resumable`.
        """
        path = self._place(recipe, name=name, out=out)
        _say_name(path, name=name, out=out, emit=emit)
        # Without the lock first: where nothing may be written finished work is still found.
        done = None if force else self._whole(path, recipe)
        if done is not None:
            remove_stale(path / LOCK)
            yield kind(path, recipe, finished=done)
            return
        made = self._made_for(path, out=out)
        with ExitStack() as after, exclusive(path / LOCK, emit=emit, waiting=_waiting(path)):
            if not force and (done := self._finished(path, recipe)) is not None:
                yield kind(path, recipe, finished=done)
                return
            if force and path.is_dir() and (out is None or _is_ours(path)):
                clear(path)
            try:
                claim(path, recipe=recipe)
            except BaseException:
                after.callback(_remove_empty, made)
                raise
            draft = kind(path, recipe)
            try:
                yield draft
            except BaseException:
                # A failure here, as of a lock that was lost, must not mask the error under way.
                with suppress(Exception):
                    if draft.finished is None and (not resumable or is_blank(path)):
                        clear(path)
                        after.callback(_remove_empty, made)
                raise

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
        """The run of a recipe, locked, new or with the checkpoints it has."""
        path = self._place(recipe, name=name, out=out)
        _say_name(path, name=name, out=out, emit=emit)
        made = self._made_for(path, out=out)
        with ExitStack() as after, self._lock_run(path, several=kind.several, emit=emit) as locked:
            if (path / RUN).is_file() and not force:
                run = Run.load(path)
                if run.info.id != recipe.id:
                    raise OverwriteError(
                        f"{path} already holds another run ({run.info.stage} {run.info.id[:8]})",
                        hint="choose another --out, or pass --force to replace it",
                    )
                draft = kind(path, run.info, recipe)
                if links := draft.links():
                    raise nofollow.LinkError(str(path / links[0]))
                if locked:
                    draft.sweep()
            else:
                if force and path.is_dir() and (out is None or _is_ours(path)):
                    clear(path)
                draft = kind(path, _begin(path, recipe, name=name, made=made, after=after), recipe)
            try:
                yield from closed(draft)
            except BaseException as error:
                # A failure here, as of a disk that is full, must not mask the error under way.
                with suppress(Exception):
                    away = isinstance(error, OutOfReachError)
                    if locked and not away and not Run.load(path).steps():
                        _end_without_checkpoint(draft, error, made=made, after=after)
                raise

    def earlier_result(
        self,
        recipe: Recipe,
        step: int,
        *,
        name: str,
        out: Place | Path | None = None,
        emit: Emit = silent,
    ) -> Artifact | None:
        """The checkpoint of a step that a command was answered with before, or what was chosen in
        its place, if it is undamaged: found without the lock, as such checkpoints stay. None
        for all that needs it to be sure."""
        path = self._place(recipe, name="any", out=out)
        try:
            run = Run.load(path)
            answer = step if run.info.chosen is None else run.info.chosen
            if run.info.id != recipe.id or answer not in run.info.results:
                return None
            checkpoint = run.checkpoint(answer)
        except VitctlError:
            return None
        if checkpoint.check_contents():
            return None
        _say_name(path, name=name, out=out, emit=emit)
        return checkpoint

    def has_begun(self, recipe: Recipe, *, out: Place | Path | None = None) -> bool:
        """Whether there is a run, a draft or an artifact of this recipe, finished or not, where
        `open` and `open_run` would look; a damaged artifact, too, as both would refuse it."""
        path = self._place(recipe, name="any", out=out)
        if (path / RUN).is_file():
            try:
                return Run.load(path).info.id == recipe.id
            except VitctlError:
                return False
        if (note := read_note(path)) is not None:
            return note.get("id") == recipe.id
        try:
            done = load_if_finished(path)
        except VitctlError:
            return out is None  # in a store the folder's name says whose it is
        return done is not None and done.id == recipe.id

    def made(self, recipe: Recipe, *, out: Place | Path | None = None) -> Artifact | None:
        """The finished, undamaged artifact of a recipe if there is one, found without the lock."""
        return self._whole(self._place(recipe, name="any", out=out), recipe)

    @classmethod
    def _whole(cls, path: Place, recipe: Recipe) -> Artifact | None:
        """Like `_finished`; None for all that needs the lock to be sure of."""
        try:
            return cls._finished(path, recipe)
        except VitctlError:
            return None

    @staticmethod
    def _finished(path: Place, recipe: Recipe) -> Artifact | None:
        """The undamaged artifact of `recipe` at `path`, None if there is none yet."""
        done = load_if_finished(path)
        if done is None:
            return None
        if done.id != recipe.id:
            raise OverwriteError(
                f"{path} already holds another artifact ({done.kind} {done.id[:8]})",
                hint="choose another --out, or pass --force to replace it",
            )
        return Artifact.load(path)

    @staticmethod
    @contextmanager
    def _lock_run(path: Place, *, several: bool, emit: Emit) -> Iterator[bool]:
        """Whether it is locked: where nothing may be written nobody trains, and a finished run can
        be asked without lock."""
        with ExitStack() as stack:
            locked = not ((path / RUN).is_file() and path.is_read_only)
            if locked:
                try:
                    stack.enter_context(
                        exclusive(
                            path / LOCK,
                            emit=emit,
                            waiting=_waiting(path),
                            several=several,
                        )
                    )
                except DeniedError:
                    if not (path / RUN).is_file():
                        raise
                    locked = False
            yield locked

    def _place(self, recipe: Recipe, *, name: str, out: Place | Path | None) -> Place:
        if out is not None:
            out = place(out)
            _refuse_file(out, "--out")
            return out
        _refuse_file(self.root, "--store")
        folder = self.root / recipe.stage
        short = recipe.id[:SHORT]
        for directory in folders(folder):
            if directory.name.endswith(f"-{short}"):
                return directory
        return folder / f"{checked_name(name)}-{short}"

    def _made_for(self, path: Place, *, out: Place | Path | None) -> list[Place]:
        """The folders, the inner first, that a refused command removes if they are empty: those
        that are not there yet, also above the store or `out`, and those of the artifact and its
        stage, which another command may be making for itself and be refused."""
        if out is not None:
            return _absent(path)
        return [path, path.parent, *_absent(self.root)]


def _absent(path: Place) -> list[Place]:
    """Of a folder and those above it, the inner first, what is not there yet."""
    absent: list[Place] = []
    while path.local is not None and not path.exists() and path != path.parent:
        absent.append(path)
        path = path.parent
    return absent


def _remove_empty(folders: Iterable[Place]) -> None:
    """Remove folders that were made for nothing, but for those that another command uses now."""
    for folder in folders:
        folder.remove_if_empty()


def _begin(
    path: Place, recipe: Recipe, *, name: str, made: Sequence[Place], after: ExitStack
) -> RunInfo:
    """Make a folder a run without any checkpoint. Where that fails, nothing of it stays."""
    try:
        claim(path, recipe=recipe)
        info = new_info(recipe, name=name)
        write_info(path, info)
        (path / DRAFT).remove(missing_ok=True)
    except BaseException:
        with suppress(Exception):
            if (read_note(path) or {}).get("id") == recipe.id and is_blank(path):
                clear(path)
        after.callback(_remove_empty, made)
        raise
    return info


def _end_without_checkpoint(
    draft: RunDraft, error: BaseException, *, made: Sequence[Place], after: ExitStack
) -> None:
    """A run that was refused before it began, as what is too large, goes; another one says why it
    failed, for what it measured, and a batch that diverged, are worth a look. Half a checkpoint is
    not, and the disk may be full."""
    path = draft.path
    if not draft.several:
        draft.sweep()
    if not draft.info.segments and is_blank(path, besides=(RUN,)):
        draft.let_go()
        (path / RUN).remove(missing_ok=True)
        clear(path)
        after.callback(_remove_empty, made)
    elif isinstance(error, Exception) and not isinstance(error, InterruptedRun):
        draft.mark_failed(error)


def _say_name(path: Place, *, name: str, out: Place | Path | None, emit: Emit) -> None:
    """Say that what is to be made has another name already. It keeps that one: others may work in
    the folder and have recorded where it is, and a name decides nothing."""
    if out is None and path.name != f"{name}-{path.name[-SHORT:]}":
        emit(Note(f"in this store it is called {path.name}, not {name}: a name, once given, stays"))


def closed(draft: RunDraft) -> Iterator[RunDraft]:
    try:
        yield draft
    finally:
        draft.discard()


def checked_name(name: str) -> str:
    """A name for a folder, or UsageError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise UsageError(
            f"--name {quoted(name)} is not usable as a folder name",
            hint="use letters, digits, '.', '_' and '-' (at most 100)",
        )
    return name


def slug(text: str, *, default: str) -> str:
    """A folder name made of any text."""
    cleaned = re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-._")[:60]
    return cleaned or default


def _refuse_file(path: Place, option: str) -> None:
    """UsageError where something that is no folder stands in the way of `path`."""
    if (file := path.stands_in_the_way()) is not None:
        raise UsageError(f"{option} {path}: {file} is not a folder")


def _is_ours(path: Place) -> bool:
    """Whether a directory outside a store is an artifact, a run or a draft, so that --force may
    empty it: other programs have files called run.json, too."""
    if read_note(path) is not None:
        return True
    for mark in (MANIFEST, RUN):
        try:
            content = strict_json.loads((path / mark).read_bytes())
        except OSError:
            continue
        except strict_json.StrictJSONError:  # damaged; then only our kind of name tells
            if tail_of(path.name) is not None:
                return True
            continue
        if isinstance(content, dict) and content.keys() >= {"format", "id", "stage", "version"}:
            return True
    return False


def _waiting(path: Place) -> str:
    return f"another vitctl works on {path}; waiting for it to finish"
