"""What `vitctl pretrain` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

from dataclasses import dataclass

from vitctl.artifacts import Artifact, Recipe
from vitctl.train.config import TrainConfig

VERSION = 1


@dataclass(frozen=True)
class Inputs:
    """The images, None if they are synthetic; and the checkpoint it begins from, None from random
    weights."""

    dataset: Artifact | None
    checkpoint: Artifact | None = None


def recipe_of(cfg: TrainConfig, inputs: Inputs) -> Recipe:
    """What names the run of these settings."""
    given = {"from": inputs.checkpoint, "data": inputs.dataset}
    return Recipe(
        stage="pretrain",
        version=VERSION,
        kind="run",
        config=cfg.identity(),
        parents=tuple(artifact.as_parent(role) for role, artifact in given.items() if artifact),
    )
