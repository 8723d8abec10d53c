"""The flags of `vitctl shard`, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args

from typer import Argument, Option

from stages.shard.settings import check_about, check_sheet, resolve
from stages.shard.spec import DIGITS, ShardConfig, ShardRuntime
from vitctl.console import completion, flags
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.formula.family import Family
from vitctl.ingest.pixels.policy import DEFAULT_QUALITY
from vitctl.ingest.sources.format_names import FormatName
from vitctl.places import place

_PIXELS = "Changing images"
_SETTINGS = (
    Flag(
        "val_fraction",
        "Fraction of each class that is held out as the split val (default: 0.1 if SRC has neither "
        "val/ nor test/).",
    ),
    Flag(
        "val_per_class",
        "Hold out N images of each class as the split val, instead of a fraction.",
        metavar="N",
    ),
    Flag(
        "layout",
        "Meaning of the folders in SRC, if their names leave it open: splits, classes, "
        "inner-splits (CLASS/train/), or flat, no meaning (default: by their names).",
    ),
    Flag(
        "unlabelled",
        "Take all images in SRC without labels, for vitctl embed; no folder is a class.",
        sets=True,
    ),
    Flag(
        "classes",
        "Use only these classes (default: all). SRC formula: the number of classes.",
        metavar="A,B,C|0-5",
    ),
    Flag(
        "shard_bytes",
        "Image bytes per shard (default: 256MiB).",
        name="--shard-size",
        metavar="BYTES",
    ),
    Flag("shards", "Number of shards, instead of a size per shard."),
    Flag(
        "part",
        "Make one part of the shards, as in 2/8 on the second of eight machines; vitctl merge "
        "makes the dataset of all parts (default: all shards).",
        metavar="I/N",
    ),
    Flag(
        "keep_bytes",
        "Also store those files byte for byte that TFDS, Pillow or OpenCV decode to other pixels "
        "or channels (default: as 8-bit PNG).",
        sets=True,
    ),
    Flag(
        "pixels.max_side",
        "Shrink images whose longer side has more than N pixels (default: no image is changed).",
        metavar="N",
        panel=_PIXELS,
    ),
    Flag(
        "pixels.max_short_side",
        "Shrink images whose shorter side has more than N pixels.",
        metavar="N",
        panel=_PIXELS,
    ),
    Flag(
        "pixels.encode",
        "Store every image in this format (default: files as they are; shrunk photos as JPEG).",
        panel=_PIXELS,
    ),
    Flag(
        "pixels.quality",
        f"Quality of JPEG and WebP, 1 to 100 (default: {DEFAULT_QUALITY}); alone it also means "
        "--encode jpeg.",
        metavar="N",
        panel=_PIXELS,
    ),
    Flag(
        "pixels.srgb",
        "Convert images with another colour profile (ICC) to sRGB (default: profiles are not "
        "applied).",
        sets=True,
        panel=_PIXELS,
    ),
    Flag(
        "pixels.background",
        "Lay transparent images on this colour, for example white or #808080 (default: "
        "transparency is dropped).",
        metavar="COLOUR",
        panel=_PIXELS,
    ),
)
_RUNNING = (
    flags.MAX_BAD_FRACTION,
    Flag(
        "workers",
        "Worker processes on this machine, or with --ray the most on all nodes of the cluster "
        "(default: one per core).",
    ),
    flags.RAY,
    *flags.ABOUT,
)


@verb(sets=Flags(ShardConfig, _SETTINGS), runs=Flags(ShardRuntime, _RUNNING))
def shard(
    session: Session,
    src: Annotated[
        str,
        Argument(
            help="Folder with a folder of images for each class, or archives of such folders, for "
            "example 'shards/{000..099}.tar'. Or a word: digits, 1,797 small images that are "
            "built in (the default); imagenet, from its original archives; formula, images made "
            "by formulas. A folder of such a name is ./digits.",
            show_default=False,
        ),
    ] = DIGITS,
    classes_from: Annotated[
        Any,
        Option(
            parser=place,
            metavar="DATASET|FILE",
            help="Number the classes as this dataset, or this file of names (one per line, or "
            "JSON), does (default: alphabetically).",
            autocompletion=completion.datasets,
        ),
    ] = None,
    class_titles: Annotated[
        Path | None,
        Option(
            metavar="FILE", help="Readable class names: a file of lines class<TAB>title, or JSON."
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        Option(
            metavar="NAME|FILE",
            help="Leave out a class, a folder of SRC or an image; repeatable; a file lists one per "
            "line.",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Labels of each image: a table (CSV, TSV, or JSON lines like "
            '{"id": "val/1.jpg", "labels": ["cat", "sofa"]}; default: such a table in SRC), '
            "several of them ('{train,val}.csv'), or lists of splits: "
            "'labels/{train,val,test}1.txt'.",
        ),
    ] = None,
    format: Annotated[
        FormatName | None,
        Option(
            metavar="FORMAT",
            help=f"Format of SRC: {', '.join(get_args(FormatName))} (default: detected from its "
            "contents).",
        ),
    ] = None,
    image_column: Annotated[
        str | None,
        Option(
            metavar="NAME",
            help="Column of a table that holds or names the images, where several could.",
        ),
    ] = None,
    label_column: Annotated[
        str | None,
        Option(
            metavar="NAME|A,B,C",
            help="Column of a table that holds the labels, where several could; or columns of 0 "
            "and 1, one for each class.",
        ),
    ] = None,
    label_separator: Annotated[
        str | None,
        Option(metavar="TEXT", help="Text between several labels in a cell of a table."),
    ] = None,
    multi_label: Annotated[
        bool,
        Option(
            "--multi-label",
            help="Take different rows of an image in a table as several labels of it (default: "
            "where most images have such; a few are left out as contradictions).",
        ),
    ] = False,
    family: Annotated[
        Family | None,
        Option(
            help="SRC formula: the kind of pictures (default: fractal).",
            show_default=False,
        ),
    ] = None,
    per_class: Annotated[
        int | None,
        Option(
            metavar="N",
            help="SRC formula: training pictures per class (default: 100; with --virtual 1000).",
        ),
    ] = None,
    res: Annotated[
        int | None,
        Option(
            metavar="PIXELS", help="SRC formula: side of the pictures in pixels (default: 256)."
        ),
    ] = None,
    seed: Annotated[
        int | None,
        Option(help="SRC formula: seed of classes and pictures (default: 0)."),
    ] = None,
    virtual: Annotated[
        bool,
        Option(
            "--virtual",
            help="SRC formula: store no picture; each is computed whenever it is read.",
        ),
    ] = False,
    train: Annotated[
        Path | None,
        Option(
            metavar="TAR",
            help="SRC imagenet: ILSVRC2012_img_train.tar, or a tar of ImageNet-21k.",
        ),
    ] = None,
    val: Annotated[
        Path | None,
        Option(metavar="TAR", help="SRC imagenet: ILSVRC2012_img_val.tar."),
    ] = None,
    devkit: Annotated[
        Path | None,
        Option(
            metavar="TAR|DIR",
            help="SRC imagenet: ILSVRC2012_devkit_t12.tar.gz, which holds the classes of the "
            "validation images.",
        ),
    ] = None,
    kaggle: Annotated[
        Path | None,
        Option(
            metavar="ZIP|DIR|TAR",
            help="SRC imagenet: the zip of Kaggle's ImageNet Object Localization Challenge, or "
            "what was unpacked from it.",
        ),
    ] = None,
    rehash: Annotated[
        bool,
        Option("--rehash", help="Detect a changed SRC by file contents instead of file times."),
    ] = False,
    dry_run: Annotated[
        bool,
        Option(
            "--dry-run",
            help="Store nothing; show how SRC is understood, its classes, a sample of its images, "
            "and the time and disk space that all of them take.",
        ),
    ] = False,
    sheet: Annotated[
        Path | None,
        Option(
            metavar="FILE.png",
            help="With --dry-run: draw the sample with its labels to this picture.",
        ),
    ] = None,
) -> None:
    """Example: vitctl shard ~/photos --val-fraction 0.05

    Turn a folder of images into a dataset: SRC/CLASS/image.jpg, or SRC/{train,val,test}/CLASS/,
    or any layout with --labels (several labels per image, or none) or --unlabelled.
    A file is stored byte for byte if every common decoder reads the same pixels, else as
    8-bit PNG. Every image is checked; those that cannot be used are listed in
    rejects.jsonl.

    Look before hours are spent: vitctl shard ~/photos --dry-run --sheet sample.png

    ImageNet: vitctl shard imagenet --train TAR --val TAR --devkit TAR

    Formula images: vitctl shard formula --family fractal --classes 1000
    """
    cfg, inputs = resolve(
        session.overrides,
        src,
        formula={"family": family, "per_class": per_class, "resolution": res, "seed": seed},
        virtual=virtual,
        imagenet={"train": train, "val": val, "devkit": devkit, "kaggle": kaggle},
        rehash=rehash,
        exclude=tuple(exclude or ()),
        classes_from=classes_from,
        class_titles=class_titles,
        labels=labels,
        format=format,
        image_column=image_column,
        label_column=label_column,
        label_separator=label_separator,
        multi_label=multi_label,
    )
    runtime = session.runtime(ShardRuntime)
    check_sheet(sheet, dry_run=dry_run)
    check_about(runtime.about, virtual=virtual, part=cfg.part)
    if not dry_run or session.options.print_config:
        session.deliver("shard", cfg, inputs, runtime=runtime)
        return
    from stages.shard.preview import preview

    answer = preview(
        cfg, inputs, store=session.store, runtime=runtime, picture=sheet, emit=session.emit
    )
    if session.options.json:
        session.answer_json(answer.as_json())
    else:
        from stages.shard.preview_text import as_text

        session.answer_text(as_text(answer))
