"""What `vitctl average` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from pydantic import Field, model_validator

from vitctl.artifacts import Artifact
from vitctl.artifacts.manifest import Parent
from vitctl.settings.config import Config
from vitctl.summaries import AverageRule, WeightsName

VERSION = 1

CHOSEN_ON = "chosen_on"
"""The role of the images that a greedy soup is chosen by: not what the weights were trained on."""


class AverageConfig(Config):
    """What decides the average, besides the checkpoints.

    rule     uniform: their mean; ema: each counts `decay` times as much as the next newer one;
             greedy: a soup of those that do not lower the accuracy on held-out images (M. Wortsman
             et al., "Model soups", 2022, https://arxiv.org/abs/2203.05482, recipe 1)
    decay    of ema
    weights  the checkpoints' weights as they are, or the averages that their runs keep; None takes
             the average of each that has one
    split    of greedy: the split of the images that it is chosen by
    """

    rule: AverageRule = "uniform"
    decay: float | None = Field(default=None, gt=0, lt=1)
    weights: WeightsName | None = None
    split: str | None = None

    @model_validator(mode="after")
    def _fits_its_rule(self) -> Self:
        if (self.decay is not None) != (self.rule == "ema"):
            raise ValueError("decay (for example 0.8) goes with rule ema, and only with that")
        if (self.split is not None) != (self.rule == "greedy"):
            raise ValueError("split goes with rule greedy, and only with that")
        return self


@dataclass(frozen=True)
class Inputs:
    """The checkpoints, the newest first, and of a greedy soup the images that choose."""

    checkpoints: tuple[Artifact, ...]
    dataset: Artifact | None = None

    @property
    def parents(self) -> tuple[Parent, ...]:
        """As the result records them."""
        images = () if self.dataset is None else (self.dataset.as_parent(CHOSEN_ON),)
        return *(checkpoint.as_parent("from") for checkpoint in self.checkpoints), *images
