"""What an evaluation got wrong, for `vitctl show`: the first few lines of its `results.json`."""

from __future__ import annotations

from collections.abc import Iterator

from vitctl.artifacts import Artifact
from vitctl.artifacts.documents import read_part
from vitctl.artifacts.kinds import EVALUATION
from vitctl.console.text import safe
from vitctl.errors import InputError
from vitctl.measures.results import MISTAKES, RESULTS, EvaluationResults

_SHOWN = 5


def lines(artifact: Artifact) -> Iterator[str]:
    """The mistakes made most often and the weakest classes, each at most five, and where all are;
    nothing of an artifact of another kind or without mistakes."""
    if artifact.kind != EVALUATION.name or not (artifact.path / RESULTS).is_file():
        return
    try:
        results = read_part(artifact.path / RESULTS, EvaluationResults)
    except InputError:
        yield f"{RESULTS} is damaged; see what changed: vitctl verify --deep {safe(artifact.path)}"
        return
    mistakes, classes = results.confusions, results.classes
    for mistake in mistakes[:_SHOWN]:
        yield f"{mistake.count:>6}  {safe(mistake.label)} predicted as {safe(mistake.predicted)}"
    weakest = sorted(classes, key=lambda row: row.top1)[:_SHOWN]
    for row in weakest if mistakes else ():
        yield f"{row.top1:>6.1%}  right of {row.examples:,} images of {safe(row.name)}"
    if (artifact.path / MISTAKES).is_file():
        yield f"images of the most frequent: {safe(artifact.path / MISTAKES)}"
    if len(mistakes) > _SHOWN or len(classes) > _SHOWN:
        yield f"all {len(mistakes)} pairs, {len(classes)} classes: {safe(artifact.path / RESULTS)}"
