"""What `vitctl scaling plot` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from pydantic import NonNegativeInt, PositiveInt

from vitctl.artifacts import Artifact
from vitctl.places import Place
from vitctl.scaling.config import ScalingConfig
from vitctl.settings.config import Config

VERSION = 1

FigureName = Literal[
    "compute",
    "model-size",
    "data-size",
    "images-seen",
    "held-out",
    "schedules",
    "weight-decay",
]
FIGURES: tuple[FigureName, ...] = get_args(FigureName)


class SchedulesConfig(Config):
    """The schedules that are drawn. The default is the paper's figure 7: 3, 6 and 7 epochs of
    JFT-300M at batch 4096."""

    warmup_steps: NonNegativeInt = 10_000
    timescale_steps: PositiveInt = 10_000
    drop_end_steps: PositiveInt = 50_000
    cooldown_steps: PositiveInt = 25_000
    ends: tuple[PositiveInt, ...] = (221_900, 443_900, 517_900)


class PlotConfig(Config):
    """What decides the pictures.

    Attributes:
      study: how the table is studied; a fit brings its own.
      figures: None draws all that the table can feed.
      themes, formats: each figure is drawn in each.
      wd_head, wd_body: columns of the weight decay map.
      schedules: of the figure of that name.
    """

    study: ScalingConfig = ScalingConfig()
    figures: tuple[FigureName, ...] | None = None
    themes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    formats: tuple[Literal["svg", "png"], ...] = ("svg", "png")
    wd_head: str = "wd_head"
    wd_body: str = "wd_body"
    schedules: SchedulesConfig = SchedulesConfig()


@dataclass(frozen=True)
class Inputs:
    """A table of runs, which may be that of a sweep, or a fit of one."""

    table: Path | Place | None
    fit: Artifact | None
    sweep: Artifact | None = None
