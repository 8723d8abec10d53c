"""Two few-shot results on the same draws and images -> their difference.

Both learned from the same images draw by draw and are scored on the same test images, so what a
draw is lucky with, both are lucky with: the difference is taken in each draw, and its interval is
Student's t of those differences (the paired t interval; Dietterich, "Approximate statistical tests
for comparing supervised classification learning algorithms", 1998, says what it covers and what
not). It is about other draws of the shots with these test images. Of one draw there is none.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from stages.fewshot.run import RESULTS
from vitctl.artifacts import Artifact
from vitctl.artifacts.kinds import FEWSHOT
from vitctl.errors import InputError, UsageError
from vitctl.probe import intervals
from vitctl.text import strict_json


@dataclass(frozen=True)
class Difference:
    """Of accuracies in 0..1, the second minus the first. `interval` (95 %) is None of one draw."""

    shots: int | None
    first: float
    second: float
    difference: float
    interval: tuple[float, float] | None
    draws: int

    def as_json(self) -> dict[str, Any]:
        """A row of docs/schemas/fewshot_comparison.schema.json."""
        return asdict(self)


def compare(first: Artifact, second: Artifact) -> list[Difference]:
    """The differences at each number of shots that both have.

    Raises:
      UsageError: they are of other images, splits or draws.
      InputError: a result is damaged.
    """
    images = [_images(artifact) for artifact in (first, second)]
    data = [_dataset(artifact) for artifact in (first, second)]
    if images[0] != images[1] or (None not in data and data[0] != data[1]):
        raise UsageError(
            f"{first.path} and {second.path} are not of the same images: "
            f"{_in_words(first)}, and {_in_words(second)}",
            hint="compare two runs on one dataset: vitctl fewshot --compare A B --data DATASET",
        )
    rows = [_accuracies(first), _accuracies(second)]
    shared = [key for key in rows[0] if key in rows[1]]
    if not shared:
        raise UsageError(
            f"{first.path} and {second.path} have no draw in common",
            hint="probe both with the same --shots, --draws and --seed",
        )
    differences = []
    for shots in dict.fromkeys(shots for shots, _ in shared):
        pairs = [(rows[0][key], rows[1][key]) for key in shared if key[0] == shots]
        over = intervals.differences([b - a for a, b in pairs])
        differences.append(
            Difference(
                shots=shots,
                first=sum(a for a, _ in pairs) / len(pairs),
                second=sum(b for _, b in pairs) / len(pairs),
                difference=over.mean,
                interval=over.interval,
                draws=len(pairs),
            )
        )
    return differences


def cells(rows: list[Difference]) -> list[list[str]]:
    """A table's rows: shots, both accuracies, the difference and its interval in points."""
    shown = []
    for row in rows:
        interval = "one draw"
        if row.interval is not None:
            low, high = row.interval
            interval = f"{100 * low:+.2f} to {100 * high:+.2f}"
        shown.append(
            [
                "all" if row.shots is None else str(row.shots),
                f"{row.first:.2%}",
                f"{row.second:.2%}",
                f"{100 * row.difference:+.2f}",
                interval,
                str(row.draws),
            ]
        )
    return shown


COLUMNS = ("shots", "first", "second", "difference", "95% interval", "draws")


def is_assumed(first: Artifact, second: Artifact) -> bool:
    """Whether nothing records that the images are the same, in the same order."""
    return None in (_dataset(first), _dataset(second))


def _images(artifact: Artifact) -> tuple[Any, ...]:
    """What two results on the same images have in common."""
    summary = FEWSHOT.summary(artifact)
    splits = (artifact.config.get("train_split"), summary.split)
    return (*splits, summary.examples, summary.classes, summary.left_out)


def _dataset(artifact: Artifact) -> str | None:
    """The id of the dataset, or what synthetic images are made from; None where a result does not
    record it: of features that were computed before."""
    parent = next((p for p in artifact.manifest.parents if p.role == "data"), None)
    if parent is not None:
        return parent.id
    mock = artifact.config.get("mock")
    return None if mock is None else json.dumps(mock, sort_keys=True)


def _in_words(artifact: Artifact) -> str:
    summary = FEWSHOT.summary(artifact)
    return (
        f"{summary.examples:,} of {summary.classes:,} classes in {summary.dataset} {summary.split}"
    )


def _accuracies(artifact: Artifact) -> dict[tuple[int | None, int], float]:
    """(shots, seed) -> accuracy."""
    artifact.require_files(lambda name: name == RESULTS)
    try:
        rows = strict_json.loads((artifact.path / RESULTS).read_bytes())["draws"]
        return {(row["shots"], int(row["seed"])): float(row["accuracy"]) for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{artifact.path / RESULTS} cannot be read as few-shot results: {error}",
            hint="make it again: vitctl fewshot --force",
        ) from None
