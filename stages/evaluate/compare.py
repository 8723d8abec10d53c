"""`vitctl evaluate --compare A B`: two evaluations of the same images, image by image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from stages.evaluate.written import ANSWERS
from vitctl.artifacts import Artifact
from vitctl.artifacts.kinds import EVALUATION
from vitctl.errors import InputError
from vitctl.measures.paired import Paired
from vitctl.text import strict_json

_CLASSES_SHOWN = 5
_SURE = 0.05


class _Line(BaseModel):
    """What of a line of `answers.jsonl` is compared."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    key: str
    labels: list[str]
    right: bool


@dataclass(frozen=True)
class ClassChange:
    """Images of a class that one of the two alone has right."""

    name: str
    only_first: int
    only_second: int

    @property
    def net(self) -> int:
        """How many more the second has right."""
        return self.only_second - self.only_first


@dataclass(frozen=True)
class Comparison:
    """Two evaluations of the same images; `classes` where they differ, the largest change first."""

    first: Artifact
    second: Artifact
    paired: Paired
    classes: tuple[ClassChange, ...]

    def as_json(self) -> dict[str, Any]:
        """The object of `--json`; docs/schemas/comparison.schema.json."""
        paired = self.paired
        return {
            "first": _subject(self.first),
            "second": _subject(self.second),
            "examples": paired.images,
            "both": paired.both,
            "only_first": paired.only_first,
            "only_second": paired.only_second,
            "neither": paired.neither,
            "difference": paired.difference,
            "interval": list(paired.interval()),
            "p_exact": paired.p_exact,
            "p_mid": paired.p_mid,
            "classes": [
                {"class": c.name, "only_first": c.only_first, "only_second": c.only_second}
                for c in self.classes
            ],
        }

    def lines(self) -> Iterator[str]:
        """The same for people."""
        paired, (low, high) = self.paired, self.paired.interval()
        for letter, artifact in (("A", self.first), ("B", self.second)):
            summary = EVALUATION.summary(artifact)
            yield (
                f"{letter}  {summary.model} at step {summary.step}: top-1 {summary.top1:.2%} of "
                f"{summary.examples:,} images of {summary.dataset} {summary.split}  {artifact.path}"
            )
        yield (
            f"B - A: {100 * paired.difference:+.2f} points of top-1 (95 % for other images: "
            f"{100 * low:+.2f} to {100 * high:+.2f})"
        )
        yield (
            f"right by both {paired.both:,}, by A alone {paired.only_first:,}, by B alone "
            f"{paired.only_second:,}, by neither {paired.neither:,}"
        )
        verdict = (
            "more than chance explains" if paired.p_mid < _SURE else "not more than chance explains"
        )
        yield f"McNemar: p {paired.p_mid:.3g} (mid-p; exact {paired.p_exact:.3g}): {verdict}"
        for change in self.classes[:_CLASSES_SHOWN]:
            yield (
                f"{change.net:+6d}  {change.name}: by A alone {change.only_first:,}, by B alone "
                f"{change.only_second:,}"
            )
        if len(self.classes) > _CLASSES_SHOWN:
            yield f"{len(self.classes) - _CLASSES_SHOWN:,} more classes differ: --json lists them"


def compare(first: Artifact, second: Artifact) -> Comparison:
    """Raises InputError if they are not of the same images with the same labels."""
    one, other = _answers(first), _answers(second)
    alone = one.keys() ^ other.keys()
    if alone:
        raise InputError(
            f"{first.path} and {second.path} are not of the same images: {len(alone):,} are in "
            f"only one of them, {len(one.keys() & other.keys()):,} in both",
            hint="evaluate both on the same dataset and split: vitctl evaluate --compare RUN RUN "
            "--data DATASET",
        )
    differ = [key for key, line in one.items() if line.labels != other[key].labels]
    if differ:
        raise InputError(
            f"{first.path} and {second.path} have different labels for {len(differ):,} of "
            f"{len(one):,} images",
            hint="evaluate both with the same --labels and --class-map",
        )
    right = [np.array([answers[key].right for key in one], bool) for answers in (one, other)]
    only_first, only_second = Counter[str](), Counter[str]()
    for key, line in one.items():
        if line.right != other[key].right:
            (only_first if line.right else only_second).update({*line.labels})
    changes = [
        ClassChange(name, only_first[name], only_second[name])
        for name in sorted({*only_first, *only_second})
    ]
    return Comparison(
        first,
        second,
        Paired.of(*right),
        tuple(sorted(changes, key=lambda change: -abs(change.net))),
    )


def _answers(evaluation: Artifact) -> dict[str, _Line]:
    """Lines by key; images of one key (a mixture may hold one twice) are numbered."""
    path = evaluation.path / ANSWERS
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"{evaluation.path} has no {ANSWERS}: an earlier version made it",
            hint="make it again: vitctl evaluate with the same flags and --force",
        ) from None
    evaluation.require_files(lambda name: name == ANSWERS)
    reader = TypeAdapter(_Line)
    answers: dict[str, _Line] = {}
    repeated: Counter[str] = Counter()
    try:
        for row in content.splitlines():
            line = reader.validate_python(strict_json.loads(row))
            key = f"{line.key} {repeated[line.key]}"
            repeated[line.key] += 1
            answers[key] = line
    except (strict_json.StrictJSONError, ValidationError):
        raise InputError(
            f"line {len(answers) + 1} of {path} is damaged",
            hint=f"see what changed: vitctl verify --deep {evaluation.path}",
        ) from None
    return answers


def _subject(evaluation: Artifact) -> dict[str, Any]:
    summary = EVALUATION.summary(evaluation)
    return {
        "path": str(evaluation.path),
        "id": evaluation.id,
        "model": summary.model,
        "step": summary.step,
        "top1": summary.top1,
    }
