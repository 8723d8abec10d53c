"""What `vitctl scaling fit` makes of what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vitctl.scaling.config import ScalingConfig as Config
from vitctl.stage import Runtime

__all__ = ["KIND", "REPORT", "RESIDUALS", "VERSION", "Config", "Inputs", "Runtime"]

VERSION = 1
KIND = "scaling-fit"
REPORT = "fit.json"
RESIDUALS = "residuals.csv"


@dataclass(frozen=True)
class Inputs:
    """The table. It enters the id by its bytes."""

    table: Path
