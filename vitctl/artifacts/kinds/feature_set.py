"""What is recorded of a set of features."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field, PositiveInt

from vitctl.model.feature_point import PATTERN
from vitctl.summaries import Count, Summary, WeightsName

PIXELS = "pixels"
"""Where features are read that no model makes."""


class FeatureSet(Summary):
    """Features of images, made by `vitctl embed`, or by `vitctl cluster` on its way."""

    model: str = Field(description="Name of the model, or what the features are without one.")
    step: Count | None = Field(description="Step of the checkpoint; null without a model.")
    cooled: bool | None = Field(
        description="Whether the checkpoint is a finished model; null without one."
    )
    weights: WeightsName | None = Field(
        description="The weights as they are, or their average; null without a model."
    )
    at: str = Field(
        description="Where in the model the features were read: pre_logits, tokens or block:N; "
        "pixels are the image itself.",
        pattern=rf"{PATTERN}|^{PIXELS}$",
    )
    width: PositiveInt = Field(description="Numbers an image.")
    dataset: str = Field(description="Name of the dataset, or mock.")
    classes: Count = Field(description="Classes of the dataset; 0 if it has no labels.")
    examples: dict[str, Count] = Field(description="Images in each split.")

    def phrases(self) -> Iterable[str]:
        yield f"{self.model} on {self.dataset}"
        yield f"{self.width:,} wide" + (
            "" if self.at in ("pre_logits", PIXELS) else f" at {self.at}"
        )
        for split, examples in self.examples.items():
            yield f"{examples:,} {split}"
