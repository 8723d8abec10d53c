"""What `vitctl shard` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import ByteSize, Field, field_validator, model_validator

from vitctl.errors import UsageError
from vitctl.formula.family import FormulaConfig
from vitctl.ingest.folder_layout import LayoutName
from vitctl.ingest.pixels.policy import AS_IT_IS, PixelPolicy
from vitctl.ingest.sources.format_names import FormatName
from vitctl.ingest.sources.imagenet_files import ImageNetFiles
from vitctl.ingest.write.about import UNKNOWN, About
from vitctl.ingest.write.share import ShareOf
from vitctl.job_parts import parsed_part
from vitctl.places import Place
from vitctl.settings.config import Config
from vitctl.stage import Runtime
from vitctl.workers.ray_address import AddressText

if TYPE_CHECKING:
    from vitctl.ingest.pixels.storage import ImageStorage

VERSION = 2
"""2: by default what other readers would decode to other pixels is stored as PNG, and all that a
file says about its pixels is obeyed. Datasets of version 1 are still found."""

DIGITS = "digits"
FORMULA = "formula"
IMAGENET = "imagenet"
DEFAULT_VAL_FRACTION = 0.1


class ShardConfig(Config):
    """What decides the dataset, besides its source.

    val_fraction  share of the images held out as `val`, by a hash of their ids; None takes
                  `DEFAULT_VAL_FRACTION` where the source has neither val/ nor test/
    classes       the classes to take: names with commas, or a range of integer names (0-5)
    shard_bytes   image bytes in a shard, about
    shards        shards in all, instead of `shard_bytes`
    max_pixels    larger images are rejected before they are decoded
    keep_bytes    store the bytes of all files that training decodes as it should, also those of
                  which other readers make other pixels or channels
    val_per_class images of each class held out as `val`, instead of a share
    layout        what the source's folders are; None where their names say it
    unlabelled    images without labels, whatever the folders are called: the dataset has no classes
    stratified    whether images stay to train on that `val_fraction` alone would have held out,
                  since their classes have no others; settled by the images, not by the user
    share_of      what `val_fraction` is a share of: each class, or all images by a hash of each
                  alone; None is each class where every image has one, else all images
    pixels        what is done to images before they are stored; by default nothing
    part          as in 2/8: the shards that the second of eight machines makes; None: all
    """

    val_fraction: float | None = Field(None, ge=0, lt=1)
    classes: str | None = None
    shard_bytes: ByteSize = Field(ByteSize(256 * 2**20), ge=1)
    shards: int | None = Field(None, ge=1)
    max_pixels: int = Field(100_000_000, ge=1)
    keep_bytes: bool = False
    val_per_class: int | None = Field(None, ge=1)
    layout: LayoutName | None = None
    unlabelled: bool = False
    stratified: bool = False
    share_of: ShareOf | None = None
    pixels: PixelPolicy = AS_IT_IS
    part: str | None = None

    @field_validator("part")
    @classmethod
    def _part_of_parts(cls, part: str | None) -> str | None:
        """Written in one way, so that it is one id."""
        return None if part is None else str(parsed_part(part))

    @model_validator(mode="after")
    def _one_way_to_split(self) -> Self:
        if self.val_fraction is not None and self.val_per_class is not None:
            raise ValueError("val_fraction and val_per_class are two ways to hold images out")
        if self.unlabelled and self.val_per_class is not None:
            raise ValueError("val_per_class needs classes, and unlabelled images have none")
        if self.unlabelled and self.classes is not None:
            raise ValueError("classes names those to take, and unlabelled images have none")
        if self.keep_bytes and self.pixels.encode is not None:
            raise ValueError("keep_bytes keeps files as they are, and pixels.encode none of them")
        return self

    @property
    def storage(self) -> ImageStorage:
        """What becomes of each image."""
        from vitctl.ingest.pixels.storage import ImageStorage  # loads numpy and Pillow

        return ImageStorage(self.max_pixels, self.keep_bytes, self.pixels)

    def identity(self) -> dict[str, Any]:
        """What the id of a dataset is made of. Settings that came later are in it only where they
        are used, so that all older datasets keep their ids."""
        tree = self.model_dump(mode="json", exclude={"pixels"})
        for name in LATER:
            if tree[name] == type(self).model_fields[name].default:
                del tree[name]
        if self.pixels != AS_IT_IS:
            tree["pixels"] = self.pixels.model_dump(mode="json", exclude_defaults=True)
        return tree


LATER = ("val_per_class", "layout", "unlabelled", "stratified", "share_of", "part")
"""Settings that the first version did not have."""


@dataclass(frozen=True)
class Inputs:
    """What is read. The files enter the id by their contents, the source by names, sizes and
    times, or with `rehash` by contents too, and without what `exclude` names: classes, folders of
    the source, ids of images. `format` says what the source is, instead of its contents;
    `image_column` and `label_column` which columns of a table are read, and `label_separator` what
    separates several labels in a cell; with `multi_label` different rows of an image are labels of
    it."""

    source: str
    rehash: bool = False
    exclude: tuple[str, ...] = ()
    classes_from: Place | None = None
    class_titles: Path | None = None
    labels: Path | None = None
    format: FormatName | None = None
    image_column: str | None = None
    label_column: str | None = None
    label_separator: str | None = None
    multi_label: bool = False
    formula: FormulaConfig | None = None
    """The set of pictures, where the source is `FORMULA`."""
    imagenet: ImageNetFiles | None = None
    """Where its files are, where the source is `IMAGENET`."""
    virtual: bool = False
    """Store the description of a set of formula images; pictures are made when they are read."""


def reading_options(inputs: Inputs, cfg: ShardConfig) -> dict[str, bool]:
    """Option -> whether it was given, of those that say how files are read; sources that leave no
    room for them refuse them."""
    values = {
        "--format": inputs.format,
        "--image-column": inputs.image_column,
        "--label-column": inputs.label_column,
        "--label-separator": inputs.label_separator,
        "--labels": inputs.labels,
        "--layout": cfg.layout,
    }
    given = {option: value is not None for option, value in values.items()}
    return {**given, "--multi-label": inputs.multi_label, "--unlabelled": cfg.unlabelled}


class ShardRuntime(Runtime):
    """`workers`: processes, None takes one per core, 0 works in this very process (nothing then
    survives a crash of the decoder). `max_bad_fraction`: give up above this share of rejects; None
    is a hundredth, or a few of few images. `about`: what a person knows of the dataset, for its
    `croissant.json`. `ray`: the Ray cluster whose nodes have the workers, None is this machine."""

    workers: int | None = Field(None, ge=0)
    ray: AddressText | None = None
    max_bad_fraction: float | None = Field(None, ge=0, le=1)
    about: About = UNKNOWN

    @model_validator(mode="after")
    def _workers_elsewhere(self) -> Self:
        if self.ray is not None and self.workers == 0:
            raise UsageError(
                "--workers 0 works in this process, and --ray on other machines",
                hint="leave one of them out",
            )
        return self
