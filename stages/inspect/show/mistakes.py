"""What an evaluation got wrong, for `vitctl show`: the first few lines of its `results.json`."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, NonNegativeInt, TypeAdapter, ValidationError

from vitctl import strict_json
from vitctl.artifacts import Artifact
from vitctl.console.text import safe

KIND = "evaluation"
RESULTS = "results.json"
PICTURE = "mistakes.png"
_SHOWN = 5


class _Lenient(BaseModel):
    """A part of a document that has more than is shown."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)


class ClassScore(_Lenient):
    """How many images of a class were right."""

    name: str
    examples: NonNegativeInt
    top1: float


class Mistake(_Lenient):
    """Images of class `label` that were predicted as another."""

    label: str
    predicted: str
    count: NonNegativeInt


def lines(artifact: Artifact) -> Iterator[str]:
    """The mistakes made most often and the weakest classes, each at most five, and where all are;
    nothing of an artifact of another kind or without mistakes."""
    if artifact.kind != KIND or not (artifact.path / RESULTS).is_file():
        return
    try:
        document = strict_json.loads((artifact.path / RESULTS).read_bytes())
        mistakes = TypeAdapter(list[Mistake]).validate_python(document["confusions"])
        classes = [
            ClassScore(name=row["class"], examples=row["examples"], top1=row["top1"])
            for row in document["classes"]
        ]
    except (OSError, strict_json.StrictJSONError, ValidationError, LookupError, TypeError):
        yield f"{RESULTS} is damaged; see what changed: vitctl verify --deep {safe(artifact.path)}"
        return
    for mistake in mistakes[:_SHOWN]:
        yield f"{mistake.count:>6}  {safe(mistake.label)} predicted as {safe(mistake.predicted)}"
    weakest = sorted(classes, key=lambda row: row.top1)[:_SHOWN]
    for row in weakest if mistakes else ():
        yield f"{row.top1:>6.1%}  right of {row.examples:,} images of {safe(row.name)}"
    if (artifact.path / PICTURE).is_file():
        yield f"images of the most frequent: {safe(artifact.path / PICTURE)}"
    if len(mistakes) > _SHOWN or len(classes) > _SHOWN:
        yield f"all {len(mistakes)} pairs, {len(classes)} classes: {safe(artifact.path / RESULTS)}"
