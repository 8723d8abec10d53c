"""What `vitctl evaluate` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import PositiveInt

from vitctl.artifacts import Artifact
from vitctl.data.config import EvalPreprocess, MockConfig
from vitctl.hardware.precision import Precision
from vitctl.model.config import Loss
from vitctl.optim.config import WeightsName
from vitctl.settings.config import Config
from vitctl.stage import ReadsImages

VERSION = 1


class EvaluateConfig(Config):
    """What decides the scores, besides the checkpoint and the images.

    loss, preprocess, precision   as the checkpoint was trained and scored with
    weights     the checkpoint's weights as they are, or their average
    class_map   the model's name for classes of the dataset that are called otherwise there
    mock        the synthetic images a --mock run was trained on, instead of a dataset
    """

    eval_split: str
    loss: Loss
    preprocess: EvalPreprocess
    precision: Precision
    class_map: dict[str, str] | None = None
    weights: WeightsName = "raw"
    mock: MockConfig | None = None


@dataclass(frozen=True)
class Inputs:
    """The checkpoint that is scored, and the images (None if mock)."""

    checkpoint: Artifact
    dataset: Artifact | None


class EvaluateRuntime(ReadsImages):
    """`batch`: images at a time. `devices`: so many of those there are, None takes all. `workers`:
    threads that decode images, None takes one a core."""

    batch: PositiveInt | None = None
    devices: PositiveInt | None = None
    workers: PositiveInt | None = None
