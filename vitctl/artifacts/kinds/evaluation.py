"""What is recorded of the scores of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from vitctl.artifacts.kinds.checkpoint import Scores
from vitctl.summaries import Count, Interval, Overlap, Part, Summary, WeightsName


class _OnImages(Summary):
    """A checkpoint, and what it was measured on."""

    model: str = Field(description="Name of the measured model.")
    step: Count = Field(description="Step of the measured checkpoint.")
    dataset: str = Field(description="Name of the dataset, or mock.")
    split: str = Field(description="The split that was scored.")
    weights: WeightsName = Field(
        default="raw",
        description="Which weights were measured: the last ones, or their average.",
    )


class Metric(Part):
    """A metric of all images that were scored."""

    value: float = Field(description="The metric.")
    interval: Interval | None = Field(
        description="Its 95 % interval for other images of the same kind; null if there is none."
    )


# Fields of a later base come first: what was measured on what, then the scores.
class Evaluation(Scores, _OnImages):
    """Scores of a checkpoint, made by `vitctl evaluate`."""

    top1_interval: Interval = Field(
        description="95 % interval of top-1 for other images of the same kind (binomial)."
    )
    without_label: Count = Field(description="Images left out because they have no label.")
    labels: str | None = Field(
        default=None,
        description="Name of the file whose labels were taken in place of the dataset's.",
    )
    answers: Count | None = Field(
        default=None,
        description="How many of the model's classes could be answered, if not all of them.",
    )
    without_counterpart: Count = Field(
        default=0,
        description="Images left out because the class map gives their class no counterpart in "
        "the model.",
    )
    metrics: dict[str, Metric] = Field(
        default={},
        description="All metrics that mean something for these images, by name; results.json "
        "describes each. Absent in earlier versions.",
    )

    overlap: Overlap | None = Field(
        default=None,
        description="What `vitctl dedup` says of images that the model was trained on; absent "
        "where its training data is unknown, or is the same dataset.",
    )

    def phrases(self) -> Iterable[str]:
        yield self.model
        yield f"on {self.dataset}"
        yield from (f"{title} {value}" for title, value in self.shown().items())
