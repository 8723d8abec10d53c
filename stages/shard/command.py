"""The flags of `vitctl shard`, and how they become its settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from stages.shard.spec import (
    DIGITS,
    Inputs,
    ShardConfig,
    ShardRuntime,
)
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.places import place


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
    val_per_class: Annotated[
        int | None, Option(min=1, metavar="N", help="Images of each class held out as val.")
    ] = None,
    layout: Annotated[
        str | None,
        Option(
            metavar="splits|classes|flat",
            help="What the folders in SRC are, where their names leave it open.",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        Option(
            metavar="NAME|FILE",
            help="Leave out a class, a folder of SRC or an image; a file has one a line.",
        ),
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
    keep_bytes: Annotated[
        bool,
        Option(
            "--keep-bytes",
            help="Also keep files that TFDS, Pillow or OpenCV read with other pixels or channels.",
        ),
    ] = False,
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
    A file is stored byte for byte if every common decoder makes the same pixels of it, else as
    8-bit PNG. Every image is checked; bad ones are listed in rejects.jsonl.
    """
    flags = {
        "val_fraction": val_fraction,
        "val_per_class": val_per_class,
        "layout": layout,
        "classes": classes,
        "shards": shards,
        "shard_bytes": shard_size,
        "keep_bytes": keep_bytes or None,
    }
    cfg = session.overrides.with_flags(flags).build(ShardConfig, {})
    inputs = Inputs(
        src,
        rehash=rehash,
        exclude=tuple(exclude or ()),
        classes_from=classes_from,
        class_titles=class_titles,
        labels=labels,
    )
    runtime = session.runtime(ShardRuntime, workers=workers, max_bad_fraction=max_bad_fraction)
    session.deliver("shard", cfg, inputs, runtime=runtime)
