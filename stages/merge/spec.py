"""What `vitctl merge` reads and makes: its version and inputs."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from vitctl.artifacts import Artifact
from vitctl.ingest.write.about import UNKNOWN, About
from vitctl.stage import Runtime

VERSION = 2
"""Of `vitctl shard`, whose parts are merged and whose dataset is made: a part of another version
belongs to another dataset."""


@dataclass(frozen=True)
class Inputs:
    """Parts of one dataset. Those that are not among them are looked for in the store."""

    parts: tuple[Artifact, ...]


class MergeRuntime(Runtime):
    """`max_bad_fraction`: give up above this share of rejects of all images; None is a hundredth,
    or a few of few images. `about`: what a person knows of the dataset, for its `croissant.json`.
    """

    max_bad_fraction: float | None = Field(None, ge=0, le=1)
    about: About = UNKNOWN
