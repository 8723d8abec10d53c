"""What is read of the files of an evaluation: `results.json` has more, `vitctl evaluate` writes it.
It imports no array library."""

from __future__ import annotations

from pydantic import Field

from vitctl.summaries import Count, Many, Part

RESULTS = "results.json"
MISTAKES = "mistakes.png"


class ClassRow(Part):
    """How many images of a class were right."""

    name: str = Field(alias="class")
    examples: Count
    top1: float


class ConfusedPair(Part):
    """Images of class `label` that were predicted as another."""

    label: str
    predicted: str
    count: Count


class Bin(Part):
    """Answers of about the same confidence."""

    examples: Count
    confidence: float
    top1: float


class EvaluationResults(Part):
    """The content of `results.json`; earlier versions wrote no calibration."""

    classes: Many[ClassRow]
    confusions: Many[ConfusedPair]
    calibration: Many[Bin] = ()
