"""What `vitctl finetune` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

from dataclasses import dataclass

from vitctl.artifacts import Artifact, Recipe
from vitctl.train.config import TrainConfig

VERSION = 1


@dataclass(frozen=True)
class Sweep:
    """Peak learning rates to choose from: each trains a run without `share` of the training images,
    and the one that is best on those is what the run of all images is trained with."""

    rates: tuple[float, ...]
    share: float


@dataclass(frozen=True)
class Inputs:
    """The pretrained checkpoint, and the images to fine-tune on; with `sweep` the learning rate of
    the settings is chosen before they are trained with."""

    checkpoint: Artifact
    dataset: Artifact
    sweep: Sweep | None = None


def recipe_of(cfg: TrainConfig, inputs: Inputs) -> Recipe:
    """What names the run of these settings. How their learning rate was chosen is no part of it: a
    run with the chosen rate is the same run."""
    return Recipe(
        stage="finetune",
        version=VERSION,
        kind="run",
        config=cfg.identity(),
        parents=(inputs.checkpoint.as_parent("from"), inputs.dataset.as_parent("data")),
    )
