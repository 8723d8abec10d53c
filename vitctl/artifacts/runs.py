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
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from vitctl.artifacts.artifact import Artifact, load_if_readable
from vitctl.artifacts.files import DRAFT, HELD, LOCK, RUN, TEMPORARY
from vitctl.artifacts.manifest import MANIFEST
from vitctl.artifacts.order import Age
from vitctl.artifacts.run_info import CHECKPOINTS, RunInfo, needs_its_start, read_info
from vitctl.errors import InputError, NotFoundError
from vitctl.locks.exclusive import is_locked
from vitctl.locks.pins import PINS, Pins
from vitctl.places import Place, nofollow, place
from vitctl.processes.watchdog import STACKS

BATCHES = "batches"
METRICS = "metrics.jsonl"

# What TensorBoard looks for in the names of files.
EVENTS = "events.out.tfevents."
GOODPUT = "goodput.json"
TRACKING = "tracking.json"

_OURS = frozenset(
    {
        RUN,
        DRAFT,
        MANIFEST,
        LOCK,
        HELD,
        METRICS,
        GOODPUT,
        TRACKING,
        STACKS,
        CHECKPOINTS,
        BATCHES,
        PINS,
    }
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
    def order(self) -> Age:
        """Sorts runs by when they last finished something; see `Artifact.order`."""
        steps = self.steps()
        newest = load_if_readable(self.place(self.named_step(steps))) if steps else None
        if newest is not None:
            return newest.order
        started = self.info.segments[-1].started if self.info.segments else ""
        changed_ns = (self.path / RUN).stat().st_mtime_ns
        return Age.of(self.path, finished=started, changed_ns=changed_ns)

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
        names = [name for name in self.path.links() if is_of_a_run(name)]
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

    def named_step(self, steps: Sequence[int]) -> int:
        """Of `steps`, which are not empty, the one that the run's name alone stands for: what was
        chosen as the best at its end, else the newest."""
        chosen = self.info.chosen
        return steps[-1] if chosen is None or chosen not in steps else chosen

    def newest(self) -> Artifact:
        """The checkpoint that the run's name alone stands for: of the highest step, unless another
        was chosen as the best."""
        steps = Run.steps(self)
        if not steps:
            raise NotFoundError(
                f"{self.path} has no finished checkpoint yet",
                hint="run the same command again to continue it",
            )
        try:
            return Artifact.load(self.place(self.named_step(steps)))
        except InputError as error:
            raise InputError(error.message, hint=self._earlier(steps) or error.hint) from None

    def _earlier(self, steps: list[int]) -> str | None:
        """The hint that names the newest whole checkpoint but the last."""
        for step in reversed(steps[:-1]):
            checkpoint = load_if_readable(self.place(step))
            if checkpoint is not None and not checkpoint.check_sizes():
                return f"an earlier one is whole: {self.path}@{step}"
        return None


def run_of(checkpoint: Artifact) -> Run | None:
    """The run a checkpoint lies in; None if it was copied out of it."""
    if checkpoint.path.parent.name != CHECKPOINTS:
        return None
    try:
        return Run.load(checkpoint.path.parent.parent)
    except NotFoundError:
        return None


def is_of_a_run(name: str) -> bool:
    """Whether a command writes a file or folder of this name directly into a run."""
    return name in _OURS or name.startswith((TEMPORARY, EVENTS))


def _has_no_manifest(folder: Place) -> bool:
    """By its listing: of a single name, NFS may remember for a minute that it was not there."""
    try:
        return MANIFEST not in {child.name for child in folder.children()}
    except (FileNotFoundError, NotADirectoryError):
        return False
