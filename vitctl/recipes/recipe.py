"""The form of a recipe file."""

from __future__ import annotations

import math
import tomllib
from functools import cache
from importlib import resources
from typing import Any, Literal, get_args

from pydantic import PositiveFloat, PositiveInt

from vitctl.data.config import AugmentConfig
from vitctl.errors import UsageError
from vitctl.settings.config import Config
from vitctl.settings.trees import merge
from vitctl.text.quantities import to_steps
from vitctl.text.quoting import quoted
from vitctl.train.config import RecipeName

Preset = Literal[
    "imagenet-384", "imagenet-518", "imagenet-518-average", "vtab", "cifar", "pets", "flowers"
]
"""Settings of fine-tuning for known datasets: the tables of finetune_presets.toml."""
RateScaling = Literal["linear", "sqrt"]
"""How a learning rate changes with the batch: in proportion, or with the square root."""

USUAL_AREA_MIN: float = AugmentConfig.model_fields["area_min"].default
"""Of crops of large images."""

LEAST_BATCH = 8
"""Below it, statistics of a batch say little, and mixup has hardly anything to mix."""


class BatchRule(Config):
    """Images a step: a number, more from some widths on, never over a share of the dataset, unless
    that share is smaller than `LEAST_BATCH`."""

    images: PositiveInt
    images_from_width: dict[str, PositiveInt] | None = None
    share: PositiveFloat | None = None

    def whole(self, *, width: int) -> int:
        """Of a dataset that is large enough; the learning rate is meant for it."""
        wide = [n for w, n in (self.images_from_width or {}).items() if width >= int(w)]
        return max([self.images, *wide])

    def of(self, *, width: int, examples: int, least: int = LEAST_BATCH) -> int:
        batch = self.whole(width=width)
        if self.share is not None:
            batch = min(batch, max(int(examples * self.share), min(least, examples)))
        # A multiple of 8 divides over the devices people have.
        return max(batch // 8 * 8, 1) if batch >= 8 else max(batch, 1)


class LengthRule(Config):
    """Steps: a number, a share of a longer length, or the lesser of both."""

    steps: PositiveInt | None = None
    share: PositiveFloat | None = None

    def of(self, *, whole: int) -> int:
        options = [self.steps] if self.steps is not None else []
        if self.share is not None:
            options.append(max(1, round(whole * self.share)))
        return min(options)


class DurationRule(Config):
    """How long the recipe trains by itself: steps, epochs, or the shorter of both."""

    steps: PositiveInt | None = None
    epochs: PositiveFloat | None = None

    def of(self, *, batch: int, examples: int) -> int:
        options = [self.steps] if self.steps is not None else []
        if self.epochs is not None:
            options.append(to_steps(self.epochs, "epochs", batch=batch, examples=examples))
        return min(options)


class Knee(Config):
    """A trunk's length and the cooldown it gets, in steps."""

    trunk: PositiveInt
    steps: PositiveInt


class CooldownRule(Config):
    """Steps of a cooldown: a share of the trunk, or linear between two knees."""

    share: PositiveFloat | None = None
    short: Knee | None = None
    long: Knee | None = None

    def of(self, *, trunk: int) -> int:
        if self.share is not None:
            return max(1, round(trunk * self.share))
        assert self.short is not None  # one of the two forms, checked by a test of every recipe
        assert self.long is not None
        progress = (trunk - self.short.trunk) / (self.long.trunk - self.short.trunk)
        progress = min(1.0, max(0.0, progress))
        return round(self.short.steps + progress * (self.long.steps - self.short.steps))


class CropRule(Config):
    """The smallest share of an image that a crop keeps, where images are small: what is
    `least_side` pixels wide, but no more than `most` of it."""

    least_side: PositiveInt
    most: PositiveFloat

    @property
    def from_side(self) -> int:
        """Images of at least this side in pixels are cropped as large ones are."""
        return math.ceil(self.least_side / USUAL_AREA_MIN**0.5)

    def of(self, *, side: int) -> float:
        """The share, of images of `side` pixels, to two digits."""
        return round(min(self.most, max(USUAL_AREA_MIN, (self.least_side / side) ** 2)), 2)


class TrainRecipe(Config):
    """A recipe: rules for lengths, and settings taken as they are. `model`: the one that is trained
    where nothing names another."""

    title: str
    batch: BatchRule
    duration: DurationRule
    warmup: LengthRule
    timescale: LengthRule
    cooldown: CooldownRule
    crop: CropRule | None = None
    model: str = "S/16"
    settings: dict[str, Any]


class ResolutionRule(Config):
    """The side of fine-tuning images, in pixels, for models pretrained at `pretrained`, or at any
    size if that is None."""

    pretrained: PositiveInt | None = None
    below_width: PositiveInt
    smaller: PositiveInt
    larger: PositiveInt

    def of(self, *, width: int, resolution: int) -> int:
        if self.pretrained is not None and resolution != self.pretrained:
            return resolution
        return self.smaller if width < self.below_width else self.larger


class FinetuneRecipe(Config):
    """The fine-tuning recipe. `hold_out`: the share of the training images that a learning rate is
    chosen on."""

    title: str
    hold_out: PositiveFloat
    batch: BatchRule
    duration: DurationRule
    warmup: LengthRule
    crop: CropRule | None = None
    settings: dict[str, Any]
    resolution: ResolutionRule


@cache
def load(name: RecipeName) -> TrainRecipe:
    """The recipe that ships under this name. UsageError for another name."""
    if name not in get_args(RecipeName):
        raise UsageError(
            f"there is no recipe {quoted(name)}", hint=f"choose {' or '.join(get_args(RecipeName))}"
        )
    return TrainRecipe.model_validate(_shipped(name))


@cache
def load_finetune(preset: Preset | None = None) -> FinetuneRecipe:
    """The fine-tuning recipe that ships, with the tables of a preset in place of its own.

    Raises UsageError for another name.
    """
    usual = _shipped("finetune")
    if preset is None:
        return FinetuneRecipe.model_validate(usual)
    if preset not in get_args(Preset):
        raise UsageError(
            f"there is no preset {quoted(preset)}", hint=f"choose {' or '.join(get_args(Preset))}"
        )
    own = _shipped("finetune_presets")[preset]
    settings = merge({}, usual["settings"], own.get("settings", {}))
    return FinetuneRecipe.model_validate({**usual, **own, "settings": settings})


def _shipped(name: str) -> dict[str, Any]:
    text = resources.files("vitctl.recipes").joinpath(f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
