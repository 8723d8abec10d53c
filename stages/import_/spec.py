"""What `vitctl import` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import PositiveFloat, PositiveInt, model_validator

from vitctl.interop.layout_names import LayoutName
from vitctl.model.config import Gelu
from vitctl.settings.config import Config
from vitctl.stage import Runtime
from vitctl.text.quoting import quoted

VERSION = 1

Pixels = Literal["half", "imagenet", "clip"]


class ImportConfig(Config):
    """What a user says of a model, which wins over the files beside its weights; None leaves it to
    them, and where they say nothing to what is usual for the layout.

    layout        whose names the tensors have
    resolution    side of the images to come; position embeddings are resampled
    patch         side of a patch to come; the patch embedding is resized by pseudo-inverse
    heads         attention heads, which shapes do not tell in most layouts
    grid          ROWSxCOLUMNS of the file's position embeddings, where they are of no square
    pixels        mean and standard deviation of pixels: half [-1, 1], imagenet, clip
    gelu          the activation: exact, tanh (approximation), quick
    norm_epsilon  of every norm
    """

    layout: LayoutName | None = None
    resolution: PositiveInt | None = None
    patch: PositiveInt | None = None
    heads: PositiveInt | None = None
    grid: str | None = None
    pixels: Pixels | None = None
    gelu: Gelu | None = None
    norm_epsilon: PositiveFloat | None = None

    @model_validator(mode="after")
    def _grid_is_two_numbers(self) -> Self:
        if self.grid is not None and not re.fullmatch(r"[1-9]\d{0,3}x[1-9]\d{0,3}", self.grid):
            raise ValueError(f"grid {quoted(self.grid)} is not ROWSxCOLUMNS, as in 14x20")
        return self

    @property
    def rows_and_columns(self) -> tuple[int, int] | None:
        if self.grid is None:
            return None
        rows, columns = self.grid.split("x")
        return int(rows), int(columns)


@dataclass(frozen=True)
class Inputs:
    """The file or folder of weights, and a file with a class name a line (None: as the files say).

    Only names and hashes of files enter an id, no folders.
    """

    source: Path
    classes: Path | None = None


class ImportRuntime(Runtime):
    """Nothing but where the result goes."""
