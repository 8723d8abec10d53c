"""What `vitctl fewshot` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from vitctl.artifacts import Artifact
from vitctl.data.config import FEWSHOT_PREPROCESS, EvalPreprocess
from vitctl.hardware.precision import Precision
from vitctl.recipes.measuring import Measured
from vitctl.settings.config import Config
from vitctl.summaries import Features, ProbeName, WeightsName
from vitctl.text.quoting import quoted

if TYPE_CHECKING:
    from vitctl.feature_sets.foreign import ForeignFeatures

VERSION = 1

Auto = Literal["auto"]
PARAMETERS: dict[ProbeName, tuple[str, ...]] = {
    "ridge": ("l2",),
    "logistic": ("l2",),
    "knn": ("neighbours", "temperature"),
}
"""Which settings a probe has; the first is what `auto` chooses."""
L2 = 2.0**10
TooFew = Literal["refuse", "leave-out"]


@dataclass(frozen=True)
class Given:
    """Stored features: an artifact of `vitctl embed`, or of another program."""

    features: Artifact | ForeignFeatures


Inputs = Measured | Given
"""What computes the features, or the features."""


class FewshotConfig(Config):
    """What decides the accuracies, besides the checkpoint and the images.

    shots       images of each class that are learned from
    draws       how often they are drawn anew; draw i takes seed + i
                all: every image of the split once, whatever its class has
    probe       what learns from them, of `vitctl.probe.probes`
    l2          the penalty of ridge or logistic regression; 2^10 is the public protocol's for
                ridge; auto: chosen for each draw by cross-validation within its shots
    neighbours  of knn; auto: chosen likewise
    temperature how fast the votes of knn fade: exp(cosine / temperature)
    features    model: the checkpoint's; pixels: the image itself, at the model's resolution;
                untrained: the same model with the weights its training started from;
                given: stored features
    features_sha256  of the files of features that another program made
    precision   of the model's matrix multiplications; the regression is solved in float64
    weights     the checkpoint's weights as they are, or their average
    too_few     what becomes of classes with fewer images than shots: refuse ends the command,
                leave-out probes the others, on whose images alone it is scored
    """

    shots: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] | Literal["all"] = (1, 5, 10, 25)
    draws: PositiveInt = 10
    seed: NonNegativeInt = 0
    probe: ProbeName = "ridge"
    l2: PositiveFloat | Auto = L2
    neighbours: PositiveInt | Auto = 20
    temperature: PositiveFloat = 0.07
    features: Features = "model"
    features_sha256: str | None = None
    train_split: str = "train"
    eval_split: str
    preprocess: EvalPreprocess = FEWSHOT_PREPROCESS
    precision: Precision
    weights: WeightsName = "raw"
    too_few: TooFew = "refuse"

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.shots == "all":
            if self.draws != 1:
                raise ValueError("all images can be drawn once only: draws must be 1")
        elif list(self.shots) != sorted(set(self.shots)):
            raise ValueError(f"shots {list(self.shots)} are not ascending")
        if self.train_split == self.eval_split:
            raise ValueError(
                f"shots are drawn from {quoted(self.train_split)}, so it can't be scored"
            )
        return self

    def identity(self) -> dict[str, Any]:
        """What names a result; settings that came later only where they are used, so that all older
        results keep their ids, and of given features nothing that would decide how to compute
        them."""
        tree = self.model_dump(mode="json")
        if self.too_few == "refuse":
            del tree["too_few"]
        if self.probe == "ridge":
            del tree["probe"]
        for key in ("l2", "neighbours", "temperature"):
            if key not in PARAMETERS[self.probe]:
                del tree[key]
        if self.features_sha256 is None:
            del tree["features_sha256"]
        if self.features == "given":
            for key in ("preprocess", "precision", "weights"):
                del tree[key]
        return tree
