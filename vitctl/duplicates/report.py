"""What a search for duplicates says of itself: `dedup.json` beside the dataset that is left."""

from __future__ import annotations

from pydantic import Field

from vitctl.settings.config import Config

NAME = "dedup.json"
FORMAT = 1


class ComparedSplit(Config):
    """A split of a dataset; `matches`: images of the searched one that match any of these."""

    name: str
    id: str
    digest: str
    split: str
    images: int = Field(ge=0)
    matches: int | None = None


class Within(Config):
    """How many images match at `distance` bits or fewer."""

    distance: int = Field(ge=0)
    images: int = Field(ge=0)


class DedupReport(Config):
    """The content of `dedup.json`.

    dataset        the images that were searched, of which some were left out
    against        those that they were compared with; null: each other
    left_out       how they are equal -> images
    distance       the most bits that may differ; null of an exact search
    images_within  of each distance, how many images match at it or at a smaller one
    """

    format: int = FORMAT
    dataset: ComparedSplit
    against: tuple[ComparedSplit, ...] | None
    left_out: dict[str, int]
    distance: int | None
    images_within: tuple[Within, ...]
