"""What `vitctl embed` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

from pydantic import Field

from vitctl.data.config import FEWSHOT_PREPROCESS, EvalPreprocess, MockConfig
from vitctl.hardware.precision import Precision
from vitctl.model.feature_point import PATTERN, PRE_LOGITS
from vitctl.recipes.measuring import Measured
from vitctl.settings.config import Config
from vitctl.summaries import WeightsName

VERSION = 1

Inputs = Measured


class EmbedConfig(Config):
    """What decides the features, besides the checkpoint and the images.

    at          pre_logits: what the classifier sees; tokens: the mean over the patches' tokens;
                block:N: the same after N blocks
    splits      of the dataset
    preprocess  as few-shot probes have it
    precision   of the model's matrix multiplications
    weights     the checkpoint's weights as they are, or their average
    mock        the synthetic images a --mock run was trained on, instead of a dataset
    """

    at: str = Field(PRE_LOGITS, pattern=PATTERN)
    splits: tuple[str, ...] = Field(min_length=1)
    preprocess: EvalPreprocess = FEWSHOT_PREPROCESS
    precision: Precision
    weights: WeightsName = "raw"
    mock: MockConfig | None = None
