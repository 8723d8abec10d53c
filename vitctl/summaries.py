"""What typed summaries of results are made of: their base, and the numbers in them.

A summary is read strictly (a count is no text, no fraction and no truth value), but fields that
this version does not know are ignored: later versions may add some. A field is required if every
version has recorded it; a younger one has a default, which is what its absence means.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Many = Annotated[tuple[T, ...], Field(strict=False)]
"""JSON has lists only."""
Interval = Annotated[tuple[float, float], Field(strict=False)]

# The words for choices that are recorded.
WeightsName = Literal["raw", "ema"]
"""The weights of the last step, or their Polyak average (`vitctl.optim.average`)."""
Features = Literal["model", "pixels", "untrained", "given"]
"""Of a model, its pixels, an untrained model of its shape, or what was given as a file."""
ProbeName = Literal["ridge", "knn", "logistic"]
"""What tells classes from features (`vitctl.probe.probes`)."""
AverageRule = Literal["uniform", "ema", "greedy"]
"""How much of each checkpoint is in a mean of several: `vitctl average`."""
Seen = Literal["all", "some", "none", "unknown"]
"""Of the classes that are told apart, how many the model was trained on."""


class Part(BaseModel):
    """Some fields of a summary that belong together."""

    # Validators are built when the first is read: most commands read one kind or none.
    model_config = ConfigDict(
        frozen=True, extra="ignore", strict=True, allow_inf_nan=False, defer_build=True
    )

    def as_json(self) -> dict[str, Any]:
        """The fields that were given, in the order of the class: as a manifest records them."""
        return self.model_dump(mode="json", exclude_unset=True)


class Overlap(Part):
    """Whether a model was trained on images that it is measured on, as far as anybody looked."""

    state: Literal["unchecked", "left-out", "trained-on"] = Field(
        description="Whether the training data was searched for the images: not, or those that "
        "match were left out of it, or it was trained on as it is."
    )
    images: Count | None = Field(
        default=None, description="Training images that match one of them; null if unchecked."
    )


class Summary(Part):
    """Counts and final numbers of a result."""

    @abstractmethod
    def phrases(self) -> Iterable[str]:
        """What one line of `vitctl ls` says of it; empty ones are left out."""


def percent(value: float) -> str:
    return f"{value:.1%}"
