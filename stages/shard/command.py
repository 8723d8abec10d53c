"""What `vitctl shard` is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import ByteSize, Field
from typer import Argument, Option

from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.places import Place, place
from vitctl.settings.config import Config
from vitctl.stage import Runtime

VERSION = 1

DIGITS = "digits"
DEFAULT_VAL_FRACTION = 0.1


class ShardConfig(Config):
    """What decides the dataset, besides its source.

    val_fraction  share of the images held out as `val`, by a hash of their ids; None takes
                  `DEFAULT_VAL_FRACTION` where the source has neither val/ nor test/
    classes       the classes to take: names with commas, or a range of integer names (0-5)
    shard_bytes   image bytes in a shard, about
    shards        shards in all, instead of `shard_bytes`
    max_pixels    larger images are rejected before they are decoded
    """

    val_fraction: float | None = Field(None, ge=0, lt=1)
    classes: str | None = None
    shard_bytes: ByteSize = Field(ByteSize(256 * 2**20), ge=1)
    shards: int | None = Field(None, ge=1)
    max_pixels: int = Field(100_000_000, ge=1)


@dataclass(frozen=True)
class Inputs:
    """What is read. The files enter the id by their contents, the source by names, sizes and
    times, or with `rehash` by contents too."""

    source: str
    rehash: bool = False
    classes_from: Place | None = None
    class_titles: Path | None = None
    labels: Path | None = None


class ShardRuntime(Runtime):
    """`workers`: processes, None takes one a core, 0 works in this very process (nothing then
    survives a crash of the decoder). `max_bad_fraction`: give up above this share of rejects."""

    workers: int | None = Field(None, ge=0)
    max_bad_fraction: float = Field(0.01, ge=0, le=1)


@verb(configurable=True)
def shard(
    session: Session,
    src: Annotated[
        str, Argument(help="Folder of class folders; 'digits' is built in (./digits is a folder).")
    ] = DIGITS,
    val_fraction: Annotated[
        float | None,
        Option(help="Share held out as val; 0.1 where SRC has no val/ or test/."),
    ] = None,
    classes: Annotated[str | None, Option(metavar="A,B,C|0-5", help="Only these classes.")] = None,
    classes_from: Annotated[
        Any,
        Option(
            parser=place,
            metavar="DATASET|FILE",
            help="Number the classes as there, or as in a list.",
        ),
    ] = None,
    class_titles: Annotated[
        Path | None, Option(metavar="FILE", help="Readable names: lines of class<TAB>title.")
    ] = None,
    labels: Annotated[
        Path | None,
        Option(metavar="FILE", help='Lines like {"id": "val/1.jpg", "labels": ["cat", "sofa"]}.'),
    ] = None,
    shards: Annotated[int | None, Option(help="Shards in all, instead of by size.")] = None,
    shard_size: Annotated[
        str | None, Option(metavar="BYTES", help="Images in a shard, as in 256MiB.")
    ] = None,
    max_bad_fraction: Annotated[
        float, Option(min=0, max=1, help="Give up if more of the images are bad.")
    ] = 0.01,
    rehash: Annotated[
        bool, Option("--rehash", help="Tell a changed source by contents, not by file times.")
    ] = False,
    workers: Annotated[int | None, Option(min=0, help="Processes; one a core if left out.")] = None,
) -> None:
    """Example: vitctl shard ~/photos --val-fraction 0.05

    Turn a folder of images into a dataset: SRC/CLASS/image.jpg, or SRC/{train,val,test}/CLASS/,
    or any layout with --labels (several labels an image, or none).
    Image bytes stay untouched unless training would decode them wrongly (then they become PNG);
    every image is checked, bad ones are listed in rejects.jsonl.
    """
    flags = {
        "val_fraction": val_fraction,
        "classes": classes,
        "shards": shards,
        "shard_bytes": shard_size,
    }
    cfg = session.build(ShardConfig, {}, flags)
    inputs = Inputs(
        src,
        rehash=rehash,
        classes_from=classes_from,
        class_titles=class_titles,
        labels=labels,
    )
    runtime = session.runtime(ShardRuntime, workers=workers, max_bad_fraction=max_bad_fraction)
    session.deliver("shard", cfg, inputs, runtime=runtime)
