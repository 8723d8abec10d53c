"""What a set of formula images is: five integers and a family."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vitctl.settings.config import Config

Family = Literal["fractal", "multi", "atom", "contour"]
FAMILIES: tuple[Family, ...] = ("fractal", "multi", "atom", "contour")

VALIDATION = 2**31
"""The first instance that is held out; instances below are to train on."""
MOST_FRACTALS = 5
"""Fractals in a picture of the family `multi`, at most."""


class FormulaConfig(Config):
    """A set of pictures, each a function of (family, seed, class, instance) alone at a given size.

    family      fractal  one coloured fractal before a cloud of noise
                multi    1 to 5 small ones, each of a class of its own: several labels a picture
                atom     rings in bright lines on black, with harmonics
                contour  polygons in dark lines on white
    classes     classes 0 to `classes` - 1; those of a smaller set are the first of a larger one
    per_class   pictures of each class to train on; those of a smaller set are the first of them
    val_per_class  pictures of each class held out as the split val, of a range of their own, so
                that sets of all sizes are scored on the same ones
    resolution  of a side, pixels
    seed        of classes and pictures
    """

    family: Family = "fractal"
    classes: int = Field(1000, ge=2, le=2**20)
    per_class: int = Field(1000, ge=1, le=2**31)
    val_per_class: int = Field(10, ge=0, le=2**20)
    resolution: int = Field(256, ge=32, le=512)
    seed: int = Field(0, ge=0, lt=2**32)

    def pictures(self, split: str) -> int:
        """How many a split has; 0 where there is no such split."""
        return self.classes * {"train": self.per_class, "val": self.val_per_class}.get(split, 0)

    def first_instance(self, split: str) -> int:
        """The number of the first picture of each class in a split."""
        return VALIDATION if split == "val" else 0

    def picture_id(self, index: int, instance: int) -> str:
        """The name of a picture, as of a file in a folder of its class."""
        split, number = (
            ("val", instance - VALIDATION) if instance >= VALIDATION else ("train", instance)
        )
        return f"{split}/{self.class_name(index)}/{number:07d}.png"

    def class_name(self, index: int) -> str:
        """Unlike that of any class of another family or seed."""
        return f"{self.family}{index:05d}" + (f"s{self.seed}" if self.seed else "")

    @property
    def max_labels(self) -> int:
        return MOST_FRACTALS if self.family == "multi" else 1
