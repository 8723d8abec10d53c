"""`vitctl shard imagenet`: its options, and the files that they name."""

from __future__ import annotations

from pathlib import Path

from stages.shard.spec import IMAGENET, Inputs, ShardConfig, reading_options
from vitctl.errors import UsageError
from vitctl.ingest.sources.imagenet_files import ImageNetFiles


def imagenet_files(source: str, files: ImageNetFiles) -> ImageNetFiles | None:
    """The files that the options name; None where the source is another, a folder called `IMAGENET`
    included. Raises UsageError for options that do not go together."""
    option = next(iter(files.given), None)
    if source != IMAGENET:
        if option is not None:
            raise UsageError(
                f"{option} is about ImageNet's files, and the source is {source}",
                hint=f"leave it out, or: vitctl shard {IMAGENET} {option} FILE",
            )
        return None
    if option is None:
        if Path(source).exists():
            return None
        raise UsageError(
            f"{IMAGENET} needs its files",
            hint="--train ILSVRC2012_img_train.tar --val ILSVRC2012_img_val.tar --devkit "
            "ILSVRC2012_devkit_t12.tar.gz, or --kaggle imagenet-object-localization-challenge.zip",
        )
    images = files.train is not None or files.val is not None
    if files.kaggle is not None and images:
        raise UsageError(
            "--kaggle gives all images, and so do --train and --val", hint="leave one out"
        )
    if files.kaggle is None and not images:
        raise UsageError(
            "--devkit holds the classes of validation images, and no image",
            hint="give --train ILSVRC2012_img_train.tar or --val ILSVRC2012_img_val.tar as well",
        )
    return files


def check_imagenet(inputs: Inputs, cfg: ShardConfig) -> None:
    """Raise UsageError where the source and ImageNet's files do not belong together, and for
    options that these leave no room for."""
    if inputs.imagenet is None:
        return
    if inputs.source != IMAGENET or not set(inputs.imagenet.given) - {"--devkit"}:
        raise UsageError(
            f"the source {IMAGENET} and files with its images go together",
            hint=f'api.shard("{IMAGENET}", train=..., val=..., devkit=...)',
        )
    given = reading_options(inputs, cfg)
    option = next((name for name, is_given in given.items() if is_given), None)
    if option is not None:
        raise UsageError(
            f"{option} is of no use: ImageNet's files say what its classes and splits are",
            hint="leave it out; to read the same file as any other: vitctl shard FILE",
        )
