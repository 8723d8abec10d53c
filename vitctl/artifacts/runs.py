"""A run grows; its checkpoints are the immutable artifacts.

    <run>/run.json                     the recipe, and one segment per start
    <run>/metrics.jsonl                one row a logged step
    <run>/checkpoints/<step>/          each with its own artifact.json, written last
    <run>/pins/                        which of them others still begin from

Where the schedule is open-ended the duration is not part of the run's recipe, so the same recipe
with more steps continues the same run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from vitctl.artifacts.artifact import Artifact, load_if_readable
from vitctl.artifacts.drafts import clear, publish, read_note, sweep
from vitctl.artifacts.files import DRAFT, HELD, LOCK, RUN, TEMPORARY
from vitctl.artifacts.manifest import MANIFEST, FileEntry, Recipe
from vitctl.artifacts.provenance import now, versions
from vitctl.artifacts.run_info import (
    CHECKPOINTS,
    Rollback,
    RunInfo,
    Segment,
    needs_its_start,
    read_info,
    write_info,
)
from vitctl.errors import (
    DeniedError,
    NewerFormatError,
    NotFoundError,
    OutOfReachError,
    VitctlError,
)
from vitctl.events import Caution, Emit, silent
from vitctl.locks.exclusive import is_locked
from vitctl.locks.pins import PINS, Pins
from vitctl.places import ObjectPath, Place, buckets, guards, nofollow, place
from vitctl.places.copies import files_below, upload_folder
from vitctl.places.local import LocalPath
from vitctl.places.scratch import scratch
from vitctl.processes.watchdog import STACKS

BATCHES = "batches"
METRICS = "metrics.jsonl"

# What TensorBoard looks for in the names of files.
EVENTS = "events.out.tfevents."
GOODPUT = "goodput.json"

_OURS = frozenset(
    {RUN, DRAFT, MANIFEST, LOCK, HELD, METRICS, GOODPUT, STACKS, CHECKPOINTS, BATCHES, PINS}
)
_STEP = re.compile(r"0|[1-9][0-9]*")


class Run:
    """A run directory, being worked on or not."""

    def __init__(self, path: Place, info: RunInfo) -> None:
        self.path = path
        self.info = info

    @classmethod
    def load(cls, path: Place | Path) -> Run:
        """Raises NotFoundError without a `run.json`, InputError if it is damaged, was edited, or is
        too new."""
        # Links on the way to a run are its owner's.
        folder = place(path).based()
        return cls(folder, read_info(folder))

    @property
    def order(self) -> tuple[str, int]:
        """Sorts runs by when they last finished something; see `Artifact.order`."""
        steps = self.steps()
        newest = load_if_readable(self.place(steps[-1])) if steps else None
        if newest is not None:
            return newest.order
        started = self.info.segments[-1].started if self.info.segments else ""
        return started, (self.path / RUN).stat().st_mtime_ns

    @property
    def metrics(self) -> Place:
        return self.path / METRICS

    @property
    def pins(self) -> Pins:
        """Which of its checkpoints other work still begins from."""
        return Pins(self.path, holds=needs_its_start)

    @property
    def is_working(self) -> bool:
        """Whether a living process trains this run now."""
        return is_locked(self.path / LOCK)

    def links(self) -> list[str]:
        """Symbolic links where a command that trains this run would write or remove something."""
        names = [name for name in self.path.links() if _is_ours(name)]
        for folder in (CHECKPOINTS, BATCHES):
            with suppress(OSError, nofollow.LinkError):
                steps = filter(_STEP.fullmatch, (self.path / folder).links())
                names += [f"{folder}/{name}" for name in steps]
        return names

    def steps(self) -> list[int]:
        """Steps with a finished checkpoint, ascending."""
        folder = self.path / CHECKPOINTS
        if not folder.is_dir():
            return []
        named: list[Place] = [c for c in folder.iterdir() if _STEP.fullmatch(c.name)]
        finished = folder.each(lambda child: (child / MANIFEST).is_file(), named)
        return sorted(
            int(c.name) for c, is_finished in zip(named, finished, strict=True) if is_finished
        )

    def place(self, step: int) -> Place:
        return self.path / CHECKPOINTS / str(step)

    def batches(self) -> list[Place]:
        """The batches that were kept because a step diverged on them, in the order of the data."""
        folder = self.path / BATCHES
        if not folder.is_dir():
            return []
        folders: list[Place] = [c for c in folder.iterdir() if (c / MANIFEST).is_file()]
        return sorted(folders, key=lambda child: (len(child.name), child.name))

    def unfinished(self) -> list[Place]:
        """Checkpoints and batches that were begun and never finished, or half removed: what goes
        when the run is worked on again. What other work begins from is left to it."""
        leftovers: list[Place] = []
        for name in (CHECKPOINTS, BATCHES):
            with suppress(FileNotFoundError, NotADirectoryError):
                named = [c for c in (self.path / name).children() if _STEP.fullmatch(c.name)]
                bare = self.path.each(_has_no_manifest, named)
                leftovers += [c for c, is_bare in zip(named, bare, strict=True) if is_bare]
        pinned = self.pins.steps() if leftovers else ()
        return [c for c in leftovers if c.parent.name != CHECKPOINTS or int(c.name) not in pinned]

    def checkpoint(self, step: int, *, check: bool = True) -> Artifact:
        """The checkpoint of `step`. NotFoundError names the nearest kept ones."""
        if (self.place(step) / MANIFEST).is_file():
            return Artifact.load(self.place(step), check=check)
        steps = Run.steps(self)
        if not steps:
            raise NotFoundError(f"{self.path} has no finished checkpoint yet")
        nearest = sorted(sorted(steps, key=lambda s: abs(s - step))[:3])
        raise NotFoundError(
            f"{self.path} has no checkpoint at step {step}",
            hint="nearest kept: " + ", ".join(f"{self.path}@{s}" for s in nearest),
        )

    def newest(self) -> Artifact:
        """The checkpoint of the highest step."""
        steps = Run.steps(self)
        if not steps:
            raise NotFoundError(
                f"{self.path} has no finished checkpoint yet",
                hint="run the same command again to continue it",
            )
        return Artifact.load(self.place(steps[-1]))


class RunDraft(Run):
    """A run that this process holds the lock of. (Of several processes the first does, which
    decides and writes for all; see `crew`.)"""

    several = False
    """Whether processes beside this one write below the same lock."""

    def __init__(self, path: Place, info: RunInfo, recipe: Recipe) -> None:
        super().__init__(path, info)
        self.recipe = recipe
        # Checkpoints of a run in a bucket that are being written on this disk.
        self._unsent: dict[int, tuple[ExitStack, LocalPath]] = {}

    def sweep(self) -> None:
        """Remove what killed commands left half made. Only under the lock, and before others that
        work on this run with us begin."""
        with suppress(DeniedError):  # who may not remove anything may still train
            sweep(self.path)
            if read_note(self.path) is not None:
                (self.path / DRAFT).remove(missing_ok=True)
            self.pins.remove_dead()
            for place in self.unfinished():
                place.remove_tree(ignore_errors=True)

    def begin(self, *, from_step: int, runtime: dict[str, Any]) -> None:
        """Write down that a segment starts."""
        segment = Segment(started=now(), from_step=from_step, runtime=runtime, versions=versions())
        self._update(segments=(*self.info.segments, segment))

    def mark_result(self, step: int) -> None:
        """Write down that `step` is what a command answered with."""
        if step not in self.info.results:
            results = tuple(sorted((*self.info.results, step)))
            self._update(results=results)

    def _update(self, **changes: Any) -> None:
        self.info = self.info.model_copy(update=changes)
        self._write_info()

    def _write_info(self) -> None:
        write_info(self.path, self.info)

    def mark_rollback(self, rollback: Rollback) -> None:
        """Write down that training goes back."""
        self._update(rollbacks=(*self.info.rollbacks, rollback))

    def recipe_at(self, step: int, *, passed: Sequence[Sequence[int]] = ()) -> Recipe:
        """The recipe of one checkpoint: the run's, the step, and the windows of batches that were
        passed over on the way, [[step, batches], ...]: they decide its weights like any setting."""
        config = {**self.recipe.config, "step": step}
        if passed:
            config["passed"] = [list(window) for window in passed]
        return self.recipe.model_copy(update={"kind": "checkpoint", "config": config})

    def usable(self, *, at_most: int) -> tuple[Artifact | None, dict[int, str]]:
        """The newest undamaged checkpoint up to a step, and step -> sentence for damaged ones."""
        problems: dict[int, str] = {}
        for step in reversed([s for s in Run.steps(self) if s <= at_most]):
            try:
                artifact = Artifact.load(self.place(step))
            except NewerFormatError:
                raise
            except VitctlError as error:
                problems[step] = error.message
                continue
            damage = artifact.check_contents()
            if not damage:
                return artifact, problems
            problems[step] = f"{artifact.path} is damaged: {damage[0]}"
        return None, problems

    def result(self, step: int, *, emit: Emit = silent) -> Artifact | None:
        """The checkpoint of `step` if it is there and undamaged: an answer, kept for good."""
        if step not in self.steps():
            return None
        newest, problems = self.usable(at_most=step)
        if newest is None or newest.step != step:
            emit(Caution(f"{problems[step]}; making it again"))
            return None
        with suppress(OSError, DeniedError):  # a store that only may be read still answers
            self.mark_result(step)
        return newest

    def empty_place(self, step: int) -> LocalPath:
        """The folder to write a checkpoint to, emptied of what a crash left there. For a run in a
        bucket it is one on this disk, of each process its own, which `publish` sends."""
        self._empty(step)
        place = self.place(step)
        if place.local is not None:
            return place.local
        self.discard()
        with ExitStack() as stack:
            local = stack.enter_context(scratch())
            self._unsent[step] = stack.pop_all(), local
        return local

    def _empty(self, step: int) -> None:
        self.place(step).make_folder()
        clear(self.place(step))

    def discard(self) -> None:
        """Forget what was written for a bucket and not published."""
        while self._unsent:
            self._unsent.popitem()[1][0].close()

    def publish(
        self,
        step: int,
        *,
        summary: dict[str, Any],
        started: str,
        volatile: Iterable[str] = (),
        passed: Sequence[Sequence[int]] = (),
    ) -> Artifact:
        """Make what was written to `empty_place` an artifact."""
        place = self.place(step)
        known = {} if place.remote is None else self._send(step, place.remote)
        return self._publish(
            step, summary=summary, started=started, volatile=volatile, passed=passed, known=known
        )

    def _publish(
        self,
        step: int,
        *,
        summary: dict[str, Any],
        started: str,
        volatile: Iterable[str],
        passed: Sequence[Sequence[int]],
        known: dict[str, FileEntry],
    ) -> Artifact:
        return publish(
            self.place(step),
            recipe=self.recipe_at(step, passed=passed),
            summary=summary,
            started=started,
            volatile=volatile,
            known=known,
        )

    def _send(self, step: int, bucket: ObjectPath) -> dict[str, FileEntry]:
        """Send a checkpoint to its bucket; what was hashed on the way."""
        sent = self._upload(step, bucket)
        check_arrived(bucket, sent)
        return sent

    def _upload(
        self,
        step: int,
        bucket: ObjectPath,
        *,
        names: Callable[[list[str]], list[str]] = lambda written: written,
    ) -> dict[str, FileEntry]:
        """Send those `names` of what was written for a step."""
        stack, local = self._unsent.pop(step)
        with stack:
            sent = upload_folder(local, bucket, names=names(files_below(local)))
        return {n: FileEntry(path=n, size=of.size, sha256=of.sha256) for n, of in sent.items()}

    def abandon(self, step: int) -> None:
        """Remove a checkpoint that is no part of this run any more, whoever begins from it."""
        guards.check(self.place(step))
        (self.place(step) / MANIFEST).remove(missing_ok=True)
        self.place(step).remove_tree(ignore_errors=True)

    def drop(self, step: int) -> None:
        """Remove a checkpoint, its manifest first; not one that unfinished work begins from."""
        if step in self.pins.steps():
            return
        manifest = self.place(step) / MANIFEST
        guards.check(manifest)
        with suppress(FileNotFoundError):
            content = manifest.read_bytes()
            manifest.remove()
            # Who pins looks for the manifest after that: whoever comes second sees the other.
            if step in self.pins.steps():
                manifest.write_atomic(content)
                return
        self.place(step).remove_tree(ignore_errors=True)

    def begin_from(self, checkpoint: Artifact) -> None:
        """Hold a checkpoint of another run, which this one begins from, until `finish_from`.

        Raises NotFoundError or InputError if it was thinned out in this very moment.
        """
        trunk = run_of(checkpoint)
        if trunk is None or checkpoint.step is None:
            return
        trunk.pins.pin(checkpoint.step, by=self.path, id=self.info.id)
        Artifact.load(checkpoint.path)

    def finish_from(self, checkpoint: Artifact) -> None:
        """This run is finished: the trunk may let go of where it began."""
        trunk = run_of(checkpoint)
        if trunk is not None and checkpoint.step is not None:
            trunk.pins.unpin(checkpoint.step, id=self.info.id)


def _is_ours(name: str) -> bool:
    """Whether a command writes a file or folder of this name directly into a run."""
    return name in _OURS or name.startswith((TEMPORARY, EVENTS))


def _has_no_manifest(folder: Place) -> bool:
    """By its listing: of a single name, NFS may remember for a minute that it was not there."""
    try:
        return MANIFEST not in {child.name for child in folder.children()}
    except (FileNotFoundError, NotADirectoryError):
        return False


def check_arrived(place: ObjectPath, sent: dict[str, FileEntry]) -> None:
    """Remove what is not of this checkpoint: a process that was given up may have written there
    until a moment ago. OutOfReachError if something of it is missing."""
    stored = buckets.below(place)
    buckets.remove(place / name for name in stored.keys() - sent.keys())
    for name, entry in sent.items():
        if name not in stored or stored[name].size != entry.size:
            raise OutOfReachError(
                f"{place / name} is not what was written there",
                exit_code=10,
                hint="run the same command again (in all processes): it saves that step again",
            )


def run_of(checkpoint: Artifact) -> Run | None:
    """The run a checkpoint lies in; None if it was copied out of it."""
    if checkpoint.path.parent.name != CHECKPOINTS:
        return None
    try:
        return Run.load(checkpoint.path.parent.parent)
    except NotFoundError:
        return None
