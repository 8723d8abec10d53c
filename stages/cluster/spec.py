"""What `vitctl cluster` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field, PositiveInt

from vitctl.artifacts import Artifact
from vitctl.data.config import FEWSHOT_PREPROCESS, EvalPreprocess
from vitctl.hardware.precision import Precision
from vitctl.model.feature_point import PATTERN, PRE_LOGITS
from vitctl.recipes.measuring import MeasuringRuntime
from vitctl.settings.config import Config
from vitctl.summaries import WeightsName

if TYPE_CHECKING:
    from vitctl.feature_sets.foreign import ForeignFeatures

VERSION = 1

IMAGES_A_CLUSTER = 256
"""Images that centers are fitted to, for each cluster, unless settings say otherwise: more hardly
change them, and faiss draws as many."""


class ClusterConfig(Config):
    """What decides the clusters, besides the images and their features.

    clusters    how many
    split       whose images centers are fitted to; images of other splits get the nearest center
    spherical   whether features are centred on their mean and made of length one, and centers too
    fit_images  centers are fitted to so many images of the split, the first by a hash of their keys
    iterations  the most of them
    tolerance   they end where the inertia falls by no more than this share of itself
    seed        of the first centers, and of the hash
    pixels      take the pixels of images of this side as features, instead of a model's
    at, preprocess, precision, weights
                of a model's features, as of `vitctl embed`
    """

    clusters: int = Field(ge=2, le=2**24)
    split: str = "train"
    spherical: bool = True
    fit_images: PositiveInt
    iterations: PositiveInt = 50
    tolerance: float = Field(1e-4, ge=0, lt=1)
    seed: int = Field(0, ge=0, lt=2**64)
    pixels: int | None = Field(None, ge=1, le=1024)
    at: str = Field(PRE_LOGITS, pattern=PATTERN)
    preprocess: EvalPreprocess = FEWSHOT_PREPROCESS
    precision: Precision = "float32"
    weights: WeightsName = "raw"

    def identity(self) -> dict[str, Any]:
        """What names a result: features are a parent of it, however they were made."""
        of_features = {"pixels", "at", "preprocess", "precision", "weights"}
        return self.model_dump(mode="json", exclude=of_features)


@dataclass(frozen=True)
class Inputs:
    """The dataset, and one of: the checkpoint that makes features of its images, or such features;
    with neither, pixels are taken, as the settings say."""

    dataset: Artifact
    checkpoint: Artifact | None = None
    features: Artifact | ForeignFeatures | None = None


class ClusterRuntime(MeasuringRuntime):
    """`workers`: threads that decode images and that compare features; None takes one per core."""
