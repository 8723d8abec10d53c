"""Flags of a training run -> its settings: what `pretrain` trains and `plan` plans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from vitctl import quantities
from vitctl.console.session import Session
from vitctl.errors import UsageError
from vitctl.hardware import precision
from vitctl.recipes import pretraining
from vitctl.recipes.recipe import RecipeName
from vitctl.settings.trees import Tree, at, merge
from vitctl.train.config import TrainConfig

_MODEL_SETTINGS = (
    "name",
    "model.width",
    "model.depth",
    "model.mlp_dim",
    "model.heads",
    "model.patch",
)


@dataclass(frozen=True)
class Asked:
    """Flags, None where they were not given; `flags` by the settings that they override."""

    model: str | None
    recipe: RecipeName | None
    length: tuple[float, quantities.Unit] | None
    flags: dict[str, Any]


class Settings(NamedTuple):
    """The settings of a run, what there is to train on, and the sentences that say how the
    settings came about. `before`: what an earlier version would have chosen, if that differs."""

    cfg: TrainConfig
    images: pretraining.Images
    notes: tuple[str, ...]
    before: TrainConfig | None = None


def resolve(
    session: Session,
    asked: Asked,
    *,
    images: Callable[[Tree], pretraining.Images],
    mock: bool,
    precision_there: precision.Precision | None = None,
) -> Settings:
    """The settings of a run.

    Args:
      images: called with the settings that the user gave.
      mock: images are made up.
      precision_there: of where it runs; None asks this machine (and imports jax).
    """
    # What a flag stands for is not taken from a file: the sizes behind --model.
    dropping = _MODEL_SETTINGS if asked.model else ()
    overrides = session.overrides(asked.flags, model=TrainConfig, dropping=dropping)
    recipe = overrides.get("recipe")
    if asked.recipe and recipe and recipe != asked.recipe:
        raise UsageError(
            f"--recipe {asked.recipe} is given, and the settings are of recipe {recipe}",
            hint="leave out --recipe, or --config",
        )
    there = images(overrides)
    resolved = pretraining.resolve(
        model=pretraining.size_of(asked.model, overrides),
        recipe=asked.recipe or recipe,
        images=there,
        duration=asked.length,
        overrides=overrides,
    )
    base, flags = resolved.tree, dict(asked.flags)
    if "precision" not in overrides:
        base["precision"] = precision_there or precision.resolve()
    if mock:
        base["data"]["mock"] = {}
    if asked.length is not None:  # a flag wins over a file
        flags["schedule.total_steps"] = at(base, "schedule.total_steps")
    cfg = session.build(TrainConfig, base, flags, dropping=dropping)
    before = None
    if resolved.before is not None:
        before = session.build(TrainConfig, merge(base, resolved.before), flags, dropping=dropping)
    return Settings(cfg, there, resolved.notes, before)
