"""What `vitctl scaling fit` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vitctl.artifacts import Artifact
from vitctl.places import Place

VERSION = 1
REPORT = "fit.json"
RESIDUALS = "residuals.csv"


@dataclass(frozen=True)
class Inputs:
    """The table. It enters the id by its bytes, unless it is that of a sweep."""

    table: Path | Place
    sweep: Artifact | None = None
