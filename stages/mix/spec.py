"""What `vitctl mix` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Self

from pydantic import Field, model_validator

from vitctl.artifacts import Artifact
from vitctl.settings.config import Config
from vitctl.stage import Runtime

VERSION = 1


class MixConfig(Config):
    """What decides the mixture, besides the datasets and their weights.

    temperature  T: a dataset of n images to train on weighs n^(1/T); 1 is by size, more is evener
    balance      draw every class equally often, whatever dataset its images are in
    """

    temperature: float | None = Field(None, gt=0)
    balance: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.temperature is not None and self.balance:
            raise ValueError("temperature and balance are two ways to draw")
        return self


@dataclass(frozen=True)
class Inputs:
    """The datasets, and the weight of each; None where none has one."""

    datasets: tuple[Artifact, ...]
    weights: tuple[Fraction, ...] | None = None


class MixRuntime(Runtime):
    """Nothing but where the result goes."""
