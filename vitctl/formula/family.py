"""What a set of formula images is: five integers and a family."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from vitctl.settings.config import Config

Family = Literal["fractal", "multi", "atom", "contour"]
FAMILIES: tuple[Family, ...] = ("fractal", "multi", "atom", "contour")

MOST_FRACTALS = 5
"""Fractals in a picture of the family `multi`, at most."""


class FormulaConfig(Config):
    """A set of pictures, each a function of (family, seed, class, instance) alone at a given size.

    family      fractal  one coloured fractal before a cloud of noise
                multi    1 to 5 small ones, each of a class of its own: several labels a picture
                atom     rings in bright lines on black, with harmonics
                contour  polygons in dark lines on white
    classes     classes 0 to `classes` - 1; those of a smaller set are the first of a larger one
    per_class   pictures of each class, of the split train and val together
    resolution  of a side, pixels
    seed        of classes and pictures
    """

    family: Family = "fractal"
    classes: int = Field(1000, ge=2, le=2**20)
    per_class: int = Field(1000, ge=1, le=2**31)
    resolution: int = Field(256, ge=32, le=512)
    seed: int = Field(0, ge=0, lt=2**32)

    @property
    def pictures(self) -> int:
        return self.classes * self.per_class

    @property
    def max_labels(self) -> int:
        return MOST_FRACTALS if self.family == "multi" else 1

    def identity(self) -> dict[str, Any]:
        """What names the set."""
        return self.model_dump(mode="json")
