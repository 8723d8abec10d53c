"""What `vitctl subset` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from pydantic import Field, model_validator

from vitctl.artifacts import Artifact
from vitctl.settings.config import Config
from vitctl.stage import Runtime

VERSION = 1


class SubsetConfig(Config):
    """What decides the subset, besides the dataset. Filters come first, for all splits: `classes`,
    lists of ids, `dedup`; then one of `images`, `fraction` and `per_class` for one split.

    images        so many images, the first by a hash of their keys
    fraction      this share of those that the filters leave
    per_class     so many images of each class, fewer of a class that has fewer
    split         the split that `images`, `fraction` or `per_class` makes smaller
    classes       images of these classes alone: names with commas, a range of integer names (0-5),
                  or a file with a name a line
    drop_classes  number the classes that still have images anew, and forget the others
    dedup         leave out images whose bytes another one has
    seed          of the hash
    """

    images: int | None = Field(None, ge=1)
    fraction: float | None = Field(None, gt=0, le=1)
    per_class: int | None = Field(None, ge=1)
    split: str = "train"
    classes: str | None = None
    drop_classes: bool = False
    dedup: bool = False
    seed: int = Field(0, ge=0, lt=2**64)

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        sizes = ("images", "fraction", "per_class")
        if sum(getattr(self, name) is not None for name in sizes) > 1:
            raise ValueError("images, fraction and per_class are three ways to give a size")
        return self


@dataclass(frozen=True)
class Ids:
    """A list of ids, and the file that holds it, for the record."""

    names: tuple[str, ...]
    path: str | None = None


@dataclass(frozen=True)
class Inputs:
    """The dataset, the ids of images to take (None takes all) and of those to leave out."""

    dataset: Artifact
    ids: Ids | None = None
    exclude_ids: Ids | None = None


class SubsetRuntime(Runtime):
    """Nothing but where the result goes."""
