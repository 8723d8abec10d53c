"""The command for few images, where the recipe that is chosen for them learns little.

Recipe `small` takes batches of an eighth of a small dataset for 90 epochs: 720 steps, however few
the images are. With its augmentation a model is hardly better than chance then. `little` is never
chosen by itself (docs/decisions/0039), so the sentences here say that there is one.
"""

from __future__ import annotations

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.kinds import DATASET
from vitctl.events import Next
from vitctl.recipes.recipe import RecipeName, load
from vitctl.text.quantities import show_count
from vitctl.train.config import TrainConfig

FEW = 5_000
"""Of fewer images, `little` learns more in minutes of a processor: measured on 320 and 4,000 images
(docs/guide/little-data.md)."""
RECIPE: RecipeName = "little"

MADE_FOR_THEM = (
    f"recipe {RECIPE} is made for fewer than {show_count(FEW)} images and minutes of a processor"
)
"""Beside the sentence on training that stayed at chance; the command follows."""


def command(cfg: TrainConfig, dataset: Artifact | None) -> Next | None:
    """The command that trains on these images by the recipe for few; None where these settings are
    of that recipe, or there are enough images."""
    if dataset is None or cfg.recipe == RECIPE:
        return None
    examples = DATASET.summary(dataset).examples.get(cfg.data.split)
    if examples is None or examples >= FEW:
        return None
    return Next.of("pretrain", "--data", dataset.path, "--recipe", RECIPE)


def before_training(cfg: TrainConfig, dataset: Artifact | None) -> str | None:
    """A sentence that names this command before the time is spent; None where there is none."""
    better = command(cfg, dataset)
    if better is None:
        return None
    return (
        f"recipe {cfg.recipe} learns little from few images in minutes of a processor; "
        f"{MADE_FOR_THEM}, with --model {load(RECIPE).model}: {better.command}"
    )
