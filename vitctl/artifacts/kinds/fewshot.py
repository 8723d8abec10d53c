"""What is recorded of a few-shot probe."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field, PositiveFloat, PositiveInt

from vitctl.summaries import (
    Count,
    Features,
    Interval,
    Many,
    Overlap,
    Part,
    ProbeName,
    Seen,
    Share,
    Summary,
    WeightsName,
    percent,
)


class Shots(Part):
    """The accuracies of one number of shots, in 0..1."""

    shots: PositiveInt | None = Field(
        description="Images of each class that were learned from; null: all of them."
    )
    accuracy_mean: Share = Field(description="Mean accuracy over the draws.")
    accuracy_std: float | None = Field(
        description="Standard deviation over the draws (n - 1); null for a single draw."
    )
    interval: Interval | None = Field(
        description="95 % t interval of the mean over draws; null for a single draw."
    )
    test_interval: Interval = Field(
        description="95 % interval of one accuracy on so many test images (binomial): what other "
        "test images would change."
    )
    draws: PositiveInt = Field(description="Number of draws.")
    chosen: Many[PositiveFloat] | None = Field(
        default=None,
        description="The penalty, or number of neighbours, that each draw chose on shots held out "
        "of it; absent where it was given, or there was nothing to hold out.",
    )

    @property
    def name(self) -> str:
        """As people say it."""
        return "all images" if self.shots is None else f"{self.shots}-shot"


class TrainedImages(Part):
    """How many images of a probe the model was trained on: records of the same stored dataset."""

    scored: Count = Field(description="Of the images that were scored.")
    learned_from: Count = Field(description="Of the images that were drawn in any draw.")
    complete: bool = Field(
        description="Whether all training data of the model is records of that dataset, so that no "
        "other image of it can be among them, but for copies."
    )


class Fewshot(Summary):
    """A few-shot probe, made by `vitctl fewshot`."""

    model: str = Field(description="Name of the probed model.")
    step: Count | None = Field(
        description="Step of the probed checkpoint; null of features of another program."
    )
    cooled: bool | None = Field(
        description="Whether the probed checkpoint is a finished model; null where nobody knows."
    )
    features: Features = Field(
        description="What was probed: the model, a baseline, or features that were given."
    )
    weights: WeightsName = Field(
        default="raw",
        description="Which weights were measured: the last ones, or their average.",
    )
    dataset: str = Field(description="Name of the dataset, or mock.")
    split: str = Field(description="The split that was scored.")
    classes: Count = Field(description="Number of classes told apart.")
    left_out: Count = Field(
        default=0,
        description="Classes that were left out, as they have fewer images than shots.",
    )
    seen: Seen = Field(description="How many of these classes the model was trained on.")
    examples: Count = Field(description="Images of the scored split.")
    probe: ProbeName = Field(default="ridge", description="What learned from the features.")
    l2: PositiveFloat | None = Field(
        description="Penalty of the regression; null where each draw chose its own, or for knn."
    )
    neighbours: PositiveInt | None = Field(
        default=None, description="Neighbours of knn; null where each draw chose its own."
    )
    shots: Many[Shots] = Field(
        description="One object for each number of shots, ascending.", min_length=1
    )

    overlap: Overlap | None = Field(
        default=None,
        description="What `vitctl dedup` says of images that the model was trained on; absent "
        "where its training data is unknown, or is the same dataset.",
    )

    trained_images: TrainedImages | None = Field(
        default=None,
        description="Images that the model was trained on; null where no training data of it is "
        "known to be of the same stored dataset; absent in earlier versions and of features that "
        "no training made.",
    )

    def phrases(self) -> Iterable[str]:
        plain = self.features in ("model", "given")
        yield self.model + ("" if plain else f" ({self.features})")
        yield "" if self.probe == "ridge" else self.probe
        yield f"on {self.dataset}"
        for row in self.shots:
            yield f"{row.name} {percent(row.accuracy_mean)}"
