"""The command lines that made the subjects, for another machine.

Recorded is what was typed: with paths, a store and flags of one machine. Here inputs are named as
in the report, `--name` gives each result the name that later lines use, and what is only known by
its place stands as a word in capitals, which the page explains.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from vitctl.artifacts import Parent, Run
from vitctl.artifacts.ancestry import SOURCE
from vitctl.artifacts.kinds import IMAGE_HASHES, KINDS
from vitctl.artifacts.kinds.dataset_part import DatasetPart
from vitctl.artifacts.references import plain_name
from vitctl.model import variants
from vitctl.places import place
from vitctl.report.privacy import Redaction, is_path
from vitctl.report.subjects import Contents, Input, Missing, ReportEntry

WITHOUT_VALUE = frozenset({"--force", "--json", "--quiet", "-q", "--rehash"})
"""Flags of one call that decide no result."""
WITH_VALUE = frozenset(
    [
        "--store",
        "--out",
        "--name",
        "--workers",
        "--cache-dir",
        "--devices",
        "--processes",
        "--process-id",
        "--coordinator",
        "--start-timeout",
        "--hang-timeout",
        "--track",
    ]
)
"""Flags that say where and how fast, with their values; `--name` is written anew."""
_PATTERNS = frozenset({"--freeze"})
"""Whose values may have a slash and are no path."""
ARGUMENT = ""
INPUT_FLAGS: dict[str, dict[str, str]] = {
    "subset": {"dataset": "--data"},
    "dedup": {"dataset": "--data", "against": "--against"},
    "cluster": {"dataset": "--data", "from": "--from", "features": "--features"},
    "mix": {"dataset": ARGUMENT},
    "pretrain": {"from": "--from", "data": "--data"},
    "cooldown": {"from": "--from"},
    "finetune": {"from": "--from", "data": "--data"},
    "average": {"from": ARGUMENT, "chosen_on": "--data"},
    "export": {"from": "--from"},
    "embed": {"from": "--from", "data": "--data"},
    "fewshot": {"from": "--from", "data": "--data", "features": "--features"},
    "evaluate": {"from": "--from", "data": "--data"},
    "vtab": {"from": "--from", "data": "--data"},
    "sweep": {"data": "--data"},
    "scaling-fit": {"sweep": ARGUMENT},
    "scaling-plot": {"fit": ARGUMENT, "sweep": ARGUMENT},
}
"""Stage -> role of an input -> what names it on its command line."""
IN_FILES = frozenset({"probe"})
"""Roles of inputs that a file of a command names, as the grid of a sweep does its probes'."""
_NAMING = frozenset(flag for flags in INPUT_FLAGS.values() for flag in flags.values() if flag)
_WORD_OF = {
    "source": "IMAGES",
    "table": "TABLE",
    "weights": "WEIGHTS",
    "labels": "LABELS",
    "--config": "CONFIG",
    "--class-map": "CLASS_MAP",
    "--labels": "LABELS",
    "--ids": "IDS",
}
SHARD, MERGE = "shard", "merge"
"""The second finishes what the first began, in its name."""
_LATEST = frozenset({"latest", "ckpt", "-"})


@dataclass
class Script:
    """Lines in an order in which they run, and what the words in capitals stand for."""

    lines: list[str] = field(default_factory=list)
    placeholders: dict[str, str] = field(default_factory=dict)
    unknown: list[ReportEntry] = field(default_factory=list)
    """Subjects whose command was not recorded, or another's."""
    on_the_way: list[ReportEntry] = field(default_factory=list)
    """Subjects that other commands make while they work."""


def script(contents: Contents, *, redaction: Redaction) -> Script:
    """The commands of all subjects. One that made several of them (a probe on two datasets) stands
    once, without a name."""
    result = Script()
    writer = _Writer(contents, result, redaction)
    made: dict[tuple[str, ...], list[ReportEntry]] = {}
    for subject in contents.subjects:
        arguments = writer.arguments(subject)
        if arguments is not None:
            made.setdefault(tuple(arguments), []).append(subject)
        elif _is_on_the_way(subject):
            result.on_the_way.append(subject)
        else:
            result.unknown.append(subject)
    for line, subjects in made.items():
        name = ("--name", subjects[0].label) if len(subjects) == 1 else ()
        result.lines.append(shlex.join([*line, *name]))
    return result


class _Writer:
    def __init__(self, contents: Contents, result: Script, redaction: Redaction) -> None:
        self.contents, self.result, self.redaction = contents, result, redaction
        self._names: dict[str, str] = {}

    def arguments(self, subject: ReportEntry) -> list[str] | None:
        """The command line of a subject, without its name; None if it is not known."""
        command = _command(subject)
        if command is None or _is_on_the_way(subject):
            return None
        every = self._inputs(subject)
        inputs = list(every)
        out = command.split(" ")
        merges = command == MERGE
        flag: str | None = None
        rest = iter(_typed(subject)[len(out) :])
        for word in rest:
            name, equals, value = word.partition("=")
            if flag is None and word in WITHOUT_VALUE:
                continue
            if flag is None and name in WITH_VALUE:
                if not equals:
                    next(rest, None)
                continue
            if word.startswith("-") and len(word) > 1 and not _is_number(word):
                flag = name
                if equals:
                    out.append(f"{name}={self._value(value, flag, inputs)}")
                    flag = None
                else:
                    out.append(word)
                continue
            if flag is not None or not merges:  # parts have names of their own here
                out.append(self._value(word, flag, inputs))
            flag = None
        if merges:
            out += self._parts_of(subject)
        out += self._left_out(inputs, every, subject)
        return ["vitctl", *out]

    def _parts_of(self, dataset: ReportEntry) -> list[str]:
        """What names the parts that a dataset was merged from, which are no inputs of it."""
        parts = [
            (one.summary.index, one.label)
            for one in self.contents.subjects
            if isinstance(one.summary, DatasetPart) and one.summary.dataset == dataset.id
        ]
        whole = "the parts of the dataset, which vitctl shard --part makes"
        return [name for _, name in sorted(parts)] or [self._placeholder("parts", "", whole)]

    def _inputs(self, subject: ReportEntry) -> list[Input]:
        """What a subject was made from; of what its command made on the way, the inputs of that."""
        inputs = list(self.contents.inputs[subject.id])
        for role, given, step in self.contents.inputs[subject.id]:
            if isinstance(given, ReportEntry) and _is_on_the_way(given):
                inputs.remove((role, given, step))
                known = [(one, at) for _, one, at in inputs]
                below = self.contents.inputs[given.id]
                inputs += [one for one in below if one[1:] not in known]
        return inputs

    def _value(self, word: str, flag: str | None, inputs: list[Input]) -> str:
        """One argument as it is named here. Takes out of `inputs` what it names."""
        if flag in _PATTERNS or all(variants.spelled(part) for part in re.split("[:,]", word)):
            return word
        candidates = [("", word, "")]
        base, equals, rest = word.partition("=")
        if equals:
            candidates.append(("", base, f"={rest}"))  # mix: DATASET=WEIGHT
        if equals and not is_path(base):
            candidates.insert(0, (f"{base}=", rest, ""))  # vtab: TASK=DATASET
        for head, candidate, tail in candidates:
            for number, (role, given, step) in enumerate(inputs):
                if self._names_it(candidate, role, given, step, flag=flag):
                    if flag not in ("--config", "--set"):
                        del inputs[number]
                    return head + self._reference(role, given, step) + tail
        if flag == "--config":
            return self._placeholder("--config", word, "a file of settings")
        for subject in self.contents.subjects:  # an input of another result of the same command
            if is_path(word) and subject.entry.path.name in word.rstrip("/").split("/"):
                return subject.label
        if is_path(word):
            return self._placeholder(flag or "file", word, "a file or folder")
        return self.redaction(word)

    def _names_it(
        self,
        word: str,
        role: str,
        given: ReportEntry | Missing,
        step: int | None,
        *,
        flag: str | None,
    ) -> bool:
        if isinstance(given, Missing):
            path = given.parent.path
            if path is None or flag not in (None, f"--{role}", "--data", "--from", "--against"):
                return False
            folder = place(path).name
            if given.parent.kind == SOURCE:
                return word == path or place(word).name == folder
            return _is_reference(place(word).name, folder, given.parent)
        if flag is not None and flag not in _NAMING | {"--compare"}:
            return False
        base, _, at = word.rpartition("@")
        if base and at and step is not None:
            word = base
        entry = given.entry
        names = {plain_name(entry), entry.path.name, str(entry.path), str(entry.path.resolve())}
        if isinstance(entry, Run) and step is not None:
            names |= {str(entry.place(step)), str(entry.place(step).resolve()), str(step)}
        if word in names or (word in _LATEST and _stem(role) in ("from", "data", "dataset", "fit")):
            return True
        if isinstance(entry, Run) and variants.spelled(word) is not None:
            return True
        if is_path(word):
            parts = word.rstrip("/").split("/")
            return entry.path.name in parts
        return _is_id(word, given.id)

    def _reference(self, role: str, given: ReportEntry | Missing, step: int | None) -> str:
        if isinstance(given, Missing):
            return self._of_missing(role, given)
        return reference(given, step)

    def _of_missing(self, role: str, given: Missing) -> str:
        path = given.parent.path
        if given.parent.kind == SOURCE:
            if path is not None and not is_path(path) and not re.search(r"\.\w+$", path):
                return path  # digits, formula, imagenet: names of vitctl's own sources
            return self._placeholder(
                role, given.parent.id, _OF_SOURCE.get(role, "a file or folder")
            )
        return self._placeholder(
            given.parent.kind, given.parent.id, f"the {given.parent.kind} {given.parent.id[:8]}"
        )

    def _left_out(
        self, inputs: Sequence[Input], every: Sequence[Input], subject: ReportEntry
    ) -> Iterator[str]:
        """Inputs that no word names: the newest, or what was piped in. Those that follow from
        another input (the dataset of a run) are named, too, where the command can."""
        roles = [_stem(role) for role, _, _ in every]
        left = [_stem(role) for role, _, _ in inputs]
        for role, given, step in inputs:
            flag = INPUT_FLAGS.get(subject.stage, {}).get(_stem(role))
            # A name may stand for several: RUN --last 5, or a dataset with two splits.
            if flag is None or left.count(_stem(role)) < roles.count(_stem(role)):
                continue
            if flag:
                yield flag
            yield self._reference(role, given, step)

    def _placeholder(self, role: str, value: str, meaning: str) -> str:
        """A word in capitals for a value: the same one for the same value."""
        stem = _WORD_OF.get(role) or re.sub(r"\W+", "_", role.strip("-")).upper() or "FILE"
        key = f"{stem} {value}"
        if key not in self._names:
            count = sum(name.split(" ")[0] == stem for name in self._names)
            self._names[key] = stem if not count else f"{stem}_{count + 1}"
            self.result.placeholders[self._names[key]] = meaning
        return self._names[key]


_OF_SOURCE = {
    "source": "the images that the dataset was made from",
    "table": "the table of runs that was fitted",
    "weights": "the file of weights that was imported",
    "labels": "the file of labels",
}


def reference(subject: ReportEntry, step: int | None) -> str:
    """How a command line names a subject of the report; a step other than its newest is given."""
    if isinstance(subject.entry, Run) and step is not None:
        steps = subject.entry.steps()
        if not steps or subject.entry.named_step(steps) != step:
            return f"{subject.label}@{step}"
    return subject.label


def _typed(subject: ReportEntry) -> list[str]:
    """The recorded command line of a subject, without the name of the program."""
    artifact = subject.artifact
    return [] if artifact is None else list(artifact.manifest.provenance.command[1:])


def _command(subject: ReportEntry) -> str | None:
    """The command of `vitctl` that its recorded line begins with; None of a program that called
    the Python API, which has words of its own."""
    arguments = _typed(subject)
    typed = " ".join(arguments[: 2 if arguments[:1] == ["scaling"] else 1])
    known = any(typed in kind.commands for kind in KINDS.values())
    return typed if known or _is_of_stage(subject, typed) else None


def _is_of_stage(subject: ReportEntry, typed: str) -> bool:
    artifact = subject.artifact
    stage = SHARD if typed == MERGE else typed.replace(" ", "-")
    return artifact is not None and artifact.manifest.stage == stage


def _is_on_the_way(subject: ReportEntry) -> bool:
    """Whether another result's command made it: hashes in `dedup`, features in `cluster`, runs in
    `vtab`."""
    typed, known = _command(subject), KINDS.get(subject.kind)
    if known is IMAGE_HASHES:  # nobody asks for them
        return True
    if typed is None:
        return False
    return not _is_of_stage(subject, typed) or (
        known is not None and typed.replace(" ", "-") not in known.stages
    )


def _stem(role: str) -> str:
    """Of one of several alike: against-2 -> against."""
    return re.sub(r"-[0-9]+$", "", role)


def _is_reference(word: str, folder: str, parent: Parent) -> bool:
    tail = f"-{parent.id[:8]}"
    return word in (folder, folder.removesuffix(tail)) or _is_id(word, parent.id)


def _is_id(word: str, identity: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{4,64}", word) is not None and identity.startswith(word)


def _is_number(word: str) -> bool:
    return re.fullmatch(r"-[0-9.]+(e-?[0-9]+)?", word) is not None
