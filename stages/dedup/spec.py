"""What `vitctl dedup` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from vitctl.artifacts import Artifact
from vitctl.settings.config import Config
from vitctl.stage import ReadsImages
from vitctl.workers.ray_address import AddressText

VERSION = 1

MOST_BITS = 16
"""Beyond it most pairs of unrelated photos would have to be compared."""


class DedupConfig(Config):
    """What decides which images stay, besides the datasets.

    distance  the most bits of 64 that may differ of pictures that are nearly the same
    exact     compare bytes and pixels only
    crop      compare parts of pictures, too, so that a slight crop is no escape
    flip      compare mirror images, too
    split     the split of the dataset that is made smaller
    eval_splits  the splits of the other datasets to compare with; None takes all (of the dataset
                 itself, all others)
    """

    distance: int = Field(6, ge=0, le=MOST_BITS)
    exact: bool = False
    crop: bool = True
    flip: bool = False
    split: str = "train"
    eval_splits: tuple[str, ...] | None = Field(None, min_length=1)


@dataclass(frozen=True)
class Inputs:
    """The dataset, and those whose images it must not have; with none, its own repetitions go."""

    dataset: Artifact
    against: tuple[Artifact, ...] = ()


class DedupRuntime(ReadsImages):
    """`workers`: threads that decode images, or on a cluster the most workers; None takes one per
    core. `ray`: the Ray cluster whose nodes hash images, None is this machine."""

    workers: int | None = Field(None, ge=1)
    ray: AddressText | None = None
