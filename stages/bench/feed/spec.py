"""The settings, the inputs and the report of `vitctl bench feed`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from vitctl.artifacts.artifact import Artifact
from vitctl.data.config import AugmentConfig
from vitctl.settings.config import Config

Part = Literal["order", "reading", "parsing", "decode", "resize", "augment", "hand_over"]
PARTS: tuple[Part, ...] = (
    "order",
    "reading",
    "parsing",
    "decode",
    "resize",
    "augment",
    "hand_over",
)


class FeedConfig(Config):
    """What training would be fed.

    Attributes:
      split: of the dataset.
      resolution: of the images, in pixels.
      batch: images of a step.
      seed: of order and augmentation.
      augment: as pretrain's `data.augment`.
    """

    split: str = "train"
    resolution: PositiveInt = 224
    batch: PositiveInt = 32
    seed: int = Field(0, ge=0, lt=2**64)
    augment: AugmentConfig = AugmentConfig()


class FeedRuntime(Config):
    """`seconds`: about how long the rounds take; `workers`: threads that decode (None: all
    cores)."""

    seconds: PositiveFloat = 20.0
    workers: PositiveInt | None = None


@dataclass(frozen=True)
class Inputs:
    """The dataset."""

    dataset: Artifact


@dataclass(frozen=True)
class Speed:
    """Of one kind of work: medians over the rounds."""

    images_per_second: float
    cpu_ms: float
    """Processor time of the whole process for an image, in milliseconds, user and system."""


@dataclass(frozen=True)
class ResidentMemory:
    """Of the process at the end of a round, after so many images in all."""

    images: int
    bytes: int


@dataclass(frozen=True)
class FeedReport:
    """What was measured. `whole` is the input as training has it, `decode_only` cropping, decoding
    and resizing alone, of images in memory, by as many threads; the ratios are medians over rounds
    of one next to one of the other, by time and by processor time."""

    dataset: str
    resolution: int
    batch: int
    workers: int
    image_bytes: float
    """Mean size of an encoded image."""
    rounds: int
    whole: Speed
    decode_only: Speed
    ratio: float
    cpu_ratio: float
    parts: Mapping[Part, float]
    """CPU-ms an image of each part by itself; `hand_over` is what the whole takes beyond."""
    memory: tuple[ResidentMemory, ...]

    def as_json(self) -> dict[str, Any]:
        """What `vitctl bench feed --json` prints; docs/schemas/feed.schema.json."""
        return {
            "images_per_second": self.whole.images_per_second,
            "decode_only_images_per_second": self.decode_only.images_per_second,
            "ratio": self.ratio,
            "cpu_ms": self.whole.cpu_ms,
            "decode_only_cpu_ms": self.decode_only.cpu_ms,
            "cpu_ratio": self.cpu_ratio,
            "parts_cpu_ms": dict(self.parts),
            "memory": [asdict(one) for one in self.memory],
            "dataset": self.dataset,
            "resolution": self.resolution,
            "batch": self.batch,
            "workers": self.workers,
            "image_bytes": self.image_bytes,
            "rounds": self.rounds,
        }
