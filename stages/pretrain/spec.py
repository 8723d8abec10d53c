"""What `vitctl pretrain` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

from dataclasses import dataclass

from vitctl.artifacts import Artifact

VERSION = 1


@dataclass(frozen=True)
class Inputs:
    """The images; None with --mock."""

    dataset: Artifact | None
