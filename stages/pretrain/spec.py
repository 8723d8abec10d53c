"""What `vitctl pretrain` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

from dataclasses import dataclass

from vitctl.artifacts import Artifact, Recipe
from vitctl.train.config import TrainConfig

VERSION = 1


@dataclass(frozen=True)
class Inputs:
    """The images; None with --mock."""

    dataset: Artifact | None


def recipe_of(cfg: TrainConfig, inputs: Inputs) -> Recipe:
    """What names the run of these settings."""
    return Recipe(
        stage="pretrain",
        version=VERSION,
        kind="run",
        config=cfg.identity(),
        parents=(inputs.dataset.as_parent("data"),) if inputs.dataset else (),
    )
