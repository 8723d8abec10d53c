"""What `vitctl export` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

from dataclasses import dataclass

from vitctl.artifacts import Artifact
from vitctl.artifacts.kinds.export import Target
from vitctl.settings.config import Config
from vitctl.stage import Runtime
from vitctl.summaries import WeightsName

VERSION = 1


class ExportConfig(Config):
    """What decides the files, besides the checkpoint.

    to        the program that is to load them
    weights   the checkpoint's weights as they are, or their average
    features  whether the classifier is left out
    """

    to: Target
    weights: WeightsName = "raw"
    features: bool = False


@dataclass(frozen=True)
class Inputs:
    """The checkpoint that is exported."""

    checkpoint: Artifact


class ExportRuntime(Runtime):
    """Nothing but where the result goes."""
