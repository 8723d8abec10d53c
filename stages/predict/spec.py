"""What `vitctl predict` reads, decides and answers: its settings, inputs and answers. It publishes
nothing, so it has no version."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import Field, PositiveInt

from vitctl.artifacts import Artifact
from vitctl.data.config import EvalPreprocess
from vitctl.hardware.precision import Precision
from vitctl.model.config import Loss
from vitctl.settings.config import Config
from vitctl.stage import Runtime
from vitctl.summaries import WeightsName

MAX_PIXELS = 100_000_000
"""As `vitctl shard` has it."""


class PredictConfig(Config):
    """What decides the answers, besides the checkpoint and the images.

    top         classes of each image, the likeliest first
    weights     the checkpoint's weights as they are, or their average
    loss        "softmax": probabilities of all classes sum to 1; "sigmoid": each is its own
    preprocess, precision   as the checkpoint was trained and scored with
    max_pixels  larger images are refused before they are decoded
    """

    top: PositiveInt = 5
    weights: WeightsName = "raw"
    loss: Loss
    preprocess: EvalPreprocess
    precision: Precision
    max_pixels: int = Field(MAX_PIXELS, ge=1)


class PredictRuntime(Runtime):
    """`batch`: images at a time; None takes what suits the devices. `devices`: so many of those
    there are, None takes all. `workers`: threads that decode images, None takes one per core."""

    batch: PositiveInt | None = None
    devices: PositiveInt | None = None
    workers: PositiveInt | None = None


@dataclass(frozen=True)
class NamedImage:
    """A file to look at, as a user named it, or why there is none."""

    name: str
    problem: str | None = None


PAUSE = None
"""Stands for a pause in a stream of names: what was named so far is to be answered."""


@dataclass(frozen=True)
class Inputs:
    """The checkpoint, the names of files as they come, and whether more of them may come at any
    time: then the size of a batch doesn't depend on how many there are."""

    checkpoint: Artifact
    images: Iterable[NamedImage | None]
    endless: bool = False


@dataclass(frozen=True)
class Prediction:
    """The likeliest classes of an image, (name, probability)."""

    image: str
    classes: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Failure:
    """Why an image has no prediction. `missing`: there is no such file."""

    image: str
    reason: str
    missing: bool = False


Answer = Prediction | Failure
