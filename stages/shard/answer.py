"""What `vitctl shard --dry-run` says of a source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vitctl.data.dataset import Split
from vitctl.ingest.pixels.policy import Treatment


@dataclass(frozen=True)
class ClassCounts:
    """How many images a class has in each split."""

    name: str
    title: str | None
    images: Mapping[Split, int]

    @property
    def total(self) -> int:
        return sum(self.images.values())


@dataclass(frozen=True)
class SampledImages:
    """What came of some images.

    Attributes:
      images, bytes: how many, and the bytes of their files.
      from_the_front: they are the first ones of their files, not spread over all.
      stored_bytes: bytes of what is stored of them.
      widths, heights: smallest, median and largest in pixels, of what is stored.
      rejected: id -> why it would be left out.
      converted, treatments, warnings: as an artifact's summary counts them.
    """

    images: int
    bytes: int
    from_the_front: bool
    stored_bytes: int
    widths: tuple[int, int, int] | None
    heights: tuple[int, int, int] | None
    rejected: Mapping[str, str]
    converted: Mapping[str, int]
    treatments: Mapping[Treatment, int]
    warnings: Mapping[str, int]


@dataclass(frozen=True)
class Estimate:
    """What all images will take, from the sample.

    Attributes:
      seconds: from the beginning of the command to its end, with so many `workers`.
      images_per_second: once workers have started, over all of them.
      bytes: of the dataset.
      copied_bytes: that are copied to TMPDIR while the command runs.
      free_bytes: on the disk of the store; None of a bucket.
    """

    seconds: float
    workers: int
    images_per_second: float
    bytes: int
    copied_bytes: int
    free_bytes: int | None


@dataclass(frozen=True)
class Preview:
    """A source as `vitctl shard` understands it, and what sharding it takes.

    Attributes:
      source: its name.
      reading: one sentence: what it was taken for.
      finished: the dataset that the same command has made already.
      images, shards: of each split.
      classes: in the order of their numbers; none of unlabelled images.
      bytes: of the files of all images.
      changes: what policies do to images, in words.
      skipped: files that are not used: what they are -> how many.
      misnamed: of these, images whose names hide that they are: how -> how many.
      notes, cautions: sentences that the command says.
      sample, estimate: None where no image is stored.
      sheet: the picture of the sample.
    """

    source: str
    reading: str
    finished: str | None
    images: Mapping[Split, int]
    shards: Mapping[Split, int]
    classes: tuple[ClassCounts, ...]
    bytes: int
    changes: tuple[str, ...]
    skipped: Mapping[str, int]
    misnamed: Mapping[str, int]
    notes: tuple[str, ...]
    cautions: tuple[str, ...]
    sample: SampledImages | None
    estimate: Estimate | None
    sheet: Path | None

    def as_json(self) -> dict[str, Any]:
        """The object of `vitctl shard --dry-run --json`; docs/schemas/preview.schema.json."""
        sample = None
        if self.sample is not None:
            rejected = [{"id": id_, "reason": why} for id_, why in self.sample.rejected.items()]
            sample = {**asdict(self.sample), "rejected": rejected}
        return {
            "kind": "preview",
            "source": self.source,
            "reading": self.reading,
            "finished": self.finished,
            "images": dict(self.images),
            "shards": dict(self.shards),
            "classes": [
                {"class": one.name, "title": one.title, "images": dict(one.images)}
                for one in self.classes
            ],
            "bytes": self.bytes,
            "changes": list(self.changes),
            "skipped": dict(self.skipped),
            "misnamed": dict(self.misnamed),
            "notes": list(self.notes),
            "cautions": list(self.cautions),
            "sample": sample,
            "estimate": None if self.estimate is None else asdict(self.estimate),
            "sheet": None if self.sheet is None else str(self.sheet),
        }
