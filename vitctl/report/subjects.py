"""What a report is of: artifacts and runs, each once, with their ancestors before them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from vitctl.artifacts import Artifact, Manifest, Parent, Run, Store
from vitctl.artifacts.ancestry import SOURCE
from vitctl.artifacts.artifact import load_if_readable
from vitctl.artifacts.kinds import CHECKPOINT, KINDS
from vitctl.artifacts.references import Entry, id_of, plain_name
from vitctl.artifacts.run_info import RunInfo
from vitctl.artifacts.runs import run_of
from vitctl.errors import UsageError, VitctlError
from vitctl.summaries import Summary

MOST_SUBJECTS = 300
"""Artifacts and runs of one report, ancestors among them."""


def _record(entry: Entry) -> RunInfo | Manifest:
    """Which stage made it with which settings, of what."""
    return entry.info if isinstance(entry, Run) else entry.manifest


@dataclass(frozen=True)
class ReportEntry:
    """One artifact, or one run with its checkpoints.

    label    its name, which no other subject of the report has
    anchor   the id of its place in the page
    named    whether it was asked for, not only an ancestor
    steps    of a run: the checkpoints that were asked for, or that others were made from
    chosen   of a run: the checkpoint to report on, where one alone was asked for
    """

    entry: Entry
    label: str
    anchor: str
    named: bool
    steps: tuple[int, ...] = ()
    chosen: int | None = None

    @property
    def id(self) -> str:
        return id_of(self.entry)

    @property
    def kind(self) -> str:
        """A run is reported among checkpoints."""
        return CHECKPOINT.name if isinstance(self.entry, Run) else self.entry.kind

    @property
    def noun(self) -> str:
        """What one of its kind is called; the name of a kind that this version does not know."""
        known = KINDS.get(self.kind)
        return self.kind if known is None else known.noun

    @property
    def record(self) -> RunInfo | Manifest:
        return _record(self.entry)

    @property
    def finished(self) -> str:
        """When, as its manifest has it; empty of a run without a checkpoint that can be read."""
        return "" if self.artifact is None else self.artifact.manifest.provenance.finished

    @property
    def stage(self) -> str:
        return self.record.stage

    @property
    def config(self) -> dict[str, Any]:
        return self.record.config

    @property
    def parents(self) -> tuple[Parent, ...]:
        return self.record.parents

    @cached_property
    def checkpoints(self) -> dict[int, Artifact]:
        """Of a run: step -> the checkpoints whose manifests can be read."""
        if not isinstance(self.entry, Run):
            return {}
        each = ((step, load_if_readable(self.entry.place(step))) for step in self.entry.steps())
        return {step: checkpoint for step, checkpoint in each if checkpoint is not None}

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with its own files, by their sizes."""
        if not isinstance(self.entry, Run):
            return tuple(self.entry.check_sizes())
        problems = []
        for step in self.entry.steps():
            checkpoint = self.checkpoints.get(step)
            if checkpoint is None:
                problems.append(f"checkpoint {step} cannot be read")
            else:
                problems += [f"checkpoint {step}: {one}" for one in checkpoint.check_sizes()]
        return tuple(problems)

    @cached_property
    def artifact(self) -> Artifact | None:
        """Itself; of a run the checkpoint that was asked for, or that its name stands for; None
        without one that can be read."""
        if not isinstance(self.entry, Run):
            return self.entry
        steps = sorted(self.checkpoints)
        if self.chosen in self.checkpoints:
            return self.checkpoints[self.chosen]
        return self.checkpoints[self.entry.named_step(steps)] if steps else None

    @cached_property
    def summary(self) -> Summary | None:
        """Its typed summary; None of a kind that this version does not know, or that does not fit
        it."""
        known = KINDS.get(self.kind)
        if known is None or self.artifact is None:
            return None
        try:
            return known.model.model_validate(self.artifact.summary)
        except ValidationError:
            return None

    @cached_property
    def in_words(self) -> str:
        """The line that `vitctl ls` has of it."""
        known = KINDS.get(self.kind)
        if known is None or self.artifact is None:
            return ""
        return known.in_one_line(self.artifact.summary) or ""


@dataclass(frozen=True)
class Missing:
    """A recorded input that is not part of the report: a source outside, or one that is gone."""

    parent: Parent
    problem: str | None


Input = tuple[str, ReportEntry | Missing, int | None]
"""Its role, the subject or what is missing, and of a run the step."""


@dataclass(frozen=True)
class Contents:
    """All subjects in an order in which they can be made again, and what each was made from.

    inputs    id of a subject -> what it was made from
    problems  sentences about ancestors that cannot be reported
    """

    subjects: tuple[ReportEntry, ...]
    inputs: dict[str, tuple[Input, ...]]
    problems: tuple[str, ...] = ()

    def reported_inputs(self, subject: ReportEntry) -> list[tuple[str, ReportEntry]]:
        """Role and subject of each input that is in the report."""
        return [
            (role, given)
            for role, given, _ in self.inputs[subject.id]
            if isinstance(given, ReportEntry)
        ]

    def input_as(self, role: str, subject: ReportEntry) -> ReportEntry | None:
        """The input of a role, if it is in the report."""
        inputs = self.reported_inputs(subject)
        return next((given for its_role, given in inputs if its_role == role), None)

    def of_kind(self, kind: str) -> list[ReportEntry]:
        return [subject for subject in self.subjects if subject.kind == kind]


@dataclass
class _Collected:
    """Subjects under way: id -> entry, in the order in which they can be made again."""

    store: Store
    parents: bool
    entries: dict[str, Entry] = field(default_factory=dict)
    steps: dict[str, set[int]] = field(default_factory=dict)
    inputs: dict[str, list[tuple[str, str | Missing, int | None]]] = field(default_factory=dict)
    named: dict[str, set[int | None]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, entry: Entry, step: int | None, *, named: bool) -> str:
        """One entry with its ancestors before it -> its id. A checkpoint in a run stands for the
        run."""
        if isinstance(entry, Artifact) and entry.kind == CHECKPOINT.name:
            around = _run_around(entry)
            if around is not None:
                step, entry = entry.step, around
        identity = id_of(entry)
        if named:
            self.named.setdefault(identity, set()).add(step)
        if step is not None:
            self.steps.setdefault(identity, set()).add(step)
        if identity in self.inputs:
            return identity
        if len(self.inputs) >= MOST_SUBJECTS:
            raise UsageError(
                f"a report has at most {MOST_SUBJECTS} artifacts and runs, ancestors included",
                hint="name fewer, or leave their ancestors out with --no-parents",
            )
        self.inputs[identity] = []  # before its parents: a forged manifest may name itself
        for parent in _with_those_of_checkpoints(entry, _record(entry).parents):
            self.inputs[identity].append((parent.role, *self._input(parent, of=entry)))
        self.entries[identity] = entry
        return identity

    def _input(self, parent: Parent, *, of: Entry) -> tuple[str | Missing, int | None]:
        if parent.kind == SOURCE:
            return Missing(parent, None), None
        if not self.parents:
            return Missing(parent, None), None
        try:
            artifact = self.store.parent(parent)
        except VitctlError as error:
            return self._missing(parent, error.message, of=of), None
        if artifact is None:
            return self._missing(parent, "it is not in this store any more", of=of), None
        step = artifact.step if _run_around(artifact) is not None else None
        return self.add(artifact, None, named=False), step

    def _missing(self, parent: Parent, problem: str, *, of: Entry) -> Missing:
        what = f"the {parent.kind} {parent.id[:8]} that {plain_name(of)} was made from"
        self.problems.append(f"{what} is not in the report: {problem}")
        return Missing(parent, problem)


def contents(
    named: Iterable[tuple[Entry, int | None]], *, store: Store, parents: bool = True
) -> Contents:
    """The report's subjects: what is named, with `parents` also all that it was made from.

    Raises:
      UsageError: they are more than `MOST_SUBJECTS`.
      NotFoundError: a run has no checkpoint at the step that was named.
    """
    collected = _Collected(store, parents)
    for entry, step in named:
        if isinstance(entry, Run) and step is not None:
            entry.checkpoint(step, check=False)
        collected.add(entry, step, named=True)
    if not parents:
        _link_those_named(collected)
    labels = _labels(list(collected.entries.values()))
    subjects = {
        identity: ReportEntry(
            entry,
            label=labels[identity],
            anchor=f"a-{identity[:12]}",
            named=identity in collected.named,
            steps=tuple(sorted(collected.steps.get(identity, ()))),
            chosen=_only(collected.named.get(identity, set())),
        )
        for identity, entry in collected.entries.items()
    }
    inputs = {
        identity: tuple(
            (role, subjects[given] if isinstance(given, str) else given, step)
            for role, given, step in collected.inputs[identity]
            if isinstance(given, Missing) or given in subjects
        )
        for identity in subjects
    }
    return Contents(tuple(subjects.values()), inputs, tuple(collected.problems))


def _only(steps: set[int | None]) -> int | None:
    """The step if there is one alone."""
    return next(iter(steps)) if len(steps) == 1 else None


def _link_those_named(collected: _Collected) -> None:
    """Without ancestors: what was named may still have been made from something else named."""
    of_checkpoint: dict[str, tuple[str, int | None]] = {}
    for identity, entry in collected.entries.items():
        of_checkpoint[identity] = (identity, None)
        if isinstance(entry, Run):
            for step in entry.steps():
                if (checkpoint := load_if_readable(entry.place(step))) is not None:
                    of_checkpoint[checkpoint.id] = (identity, step)
    for identity, given in collected.inputs.items():
        collected.inputs[identity] = [
            (role, *of_checkpoint[parent.parent.id])
            if isinstance(parent, Missing) and parent.parent.id in of_checkpoint
            else (role, parent, step)
            for role, parent, step in given
        ]
    order = _makeable(collected.inputs)
    collected.entries = {identity: collected.entries[identity] for identity in order}


def _makeable(inputs: dict[str, list[tuple[str, Any, int | None]]]) -> list[str]:
    """Ids in an order in which each comes after what it was made from."""
    done: dict[str, None] = {}

    def visit(identity: str, above: frozenset[str]) -> None:
        if identity in done or identity in above:
            return
        for _, given, _ in inputs[identity]:
            if isinstance(given, str):
                visit(given, above | {identity})
        done[identity] = None

    for identity in inputs:
        visit(identity, frozenset())
    return list(done)


def _with_those_of_checkpoints(entry: Entry, recorded: Sequence[Parent]) -> Iterator[Parent]:
    """The inputs of a run; what only its checkpoints record (of an average or import) too."""
    yield from recorded
    if isinstance(entry, Run) and entry.steps():
        newest = load_if_readable(entry.place(entry.named_step(entry.steps())))
        known = {(parent.role, parent.id) for parent in recorded}
        for parent in () if newest is None else newest.manifest.parents:
            if (parent.role, parent.id) not in known and parent.id != entry.info.id:
                yield parent


def _run_around(artifact: Artifact) -> Run | None:
    """The run that a checkpoint lies in; None of one that was copied out, or whose run cannot be
    read: the checkpoint is reported alone then."""
    try:
        return run_of(artifact)
    except VitctlError:
        return None


def _labels(entries: Sequence[Entry]) -> dict[str, str]:
    """id -> a name that no other has: that of its folder without the part of the id, if only one
    has it. Names that begin with a hyphen, or hold more than words do, would be no argument."""
    names = {id_of(entry): _word(plain_name(entry)) for entry in entries}
    count = Counter(names.values())
    labels = {}
    for identity, name in names.items():
        labels[identity] = name if count[name] == 1 else f"{name}-{identity[:4]}"
    again = Counter(labels.values())
    return {
        identity: label if again[label] == 1 else f"{names[identity]}-{identity[:12]}"
        for identity, label in labels.items()
    }


def _word(name: str) -> str:
    return re.sub(r"\s+", "-", name).lstrip("-") or "artifact"
