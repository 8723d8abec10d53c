"""What `vitctl finetune` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

from dataclasses import dataclass

from vitctl.artifacts import Artifact, Recipe
from vitctl.train.config import TrainConfig

VERSION = 1


@dataclass(frozen=True)
class Inputs:
    """The pretrained checkpoint, and the images to fine-tune on."""

    checkpoint: Artifact
    dataset: Artifact


def recipe_of(cfg: TrainConfig, inputs: Inputs) -> Recipe:
    """What names the run of these settings."""
    return Recipe(
        stage="finetune",
        version=VERSION,
        kind="run",
        config=cfg.identity(),
        parents=(inputs.checkpoint.as_parent("from"), inputs.dataset.as_parent("data")),
    )
