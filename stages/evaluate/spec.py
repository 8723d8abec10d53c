"""What `vitctl evaluate` decides: its version and settings. Inputs: `vitctl.recipes.measuring`."""

from __future__ import annotations

from vitctl.data.config import EvalPreprocess, MockConfig
from vitctl.hardware.precision import Precision
from vitctl.model.config import Loss
from vitctl.settings.config import Config
from vitctl.summaries import WeightsName

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
