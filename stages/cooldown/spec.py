"""What `vitctl cooldown` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

from dataclasses import dataclass

from vitctl.artifacts import Artifact

VERSION = 1


@dataclass(frozen=True)
class Inputs:
    """The checkpoint to branch from, and the images its run trains on (None if mock)."""

    checkpoint: Artifact
    dataset: Artifact | None
