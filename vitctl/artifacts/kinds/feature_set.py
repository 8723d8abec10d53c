"""What is recorded of a set of features."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field, PositiveInt

from vitctl.model.feature_point import PATTERN
from vitctl.summaries import Count, Summary, WeightsName


class FeatureSet(Summary):
    """Features of images, made by `vitctl embed`."""

    model: str = Field(description="Name of the model.")
    step: Count = Field(description="Step of the checkpoint.")
    cooled: bool = Field(description="Whether the checkpoint is a finished model.")
    weights: WeightsName = Field(description="The weights as they are, or their average.")
    at: str = Field(
        description="Where in the model the features were read: pre_logits, tokens or block:N.",
        pattern=PATTERN,
    )
    width: PositiveInt = Field(description="Numbers an image.")
    dataset: str = Field(description="Name of the dataset, or mock.")
    classes: Count = Field(description="Classes of the dataset; 0 if it has no labels.")
    examples: dict[str, Count] = Field(description="Images in each split.")

    def phrases(self) -> Iterable[str]:
        yield f"{self.model} on {self.dataset}"
        yield f"{self.width:,} wide" + ("" if self.at == "pre_logits" else f" at {self.at}")
        for split, examples in self.examples.items():
            yield f"{examples:,} {split}"
