"""What `vitctl finetune` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

from dataclasses import dataclass

from vitctl.artifacts import Artifact

VERSION = 1


@dataclass(frozen=True)
class Inputs:
    """The pretrained checkpoint, and the images to fine-tune on."""

    checkpoint: Artifact
    dataset: Artifact
