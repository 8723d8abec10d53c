"""The flags of `vitctl subset`, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from stages.subset.settings import resolve
from stages.subset.spec import SubsetConfig, SubsetRuntime
from vitctl.console import flags
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.text import quantities

_SETTINGS = (
    Flag(
        "images",
        "Take N images, for example 10k; with one seed a smaller subset lies inside a larger one.",
        reads=quantities.parse_count,
        metavar="N",
    ),
    Flag(
        "fraction",
        "Take this fraction of the images, for example 0.1, instead of a number.",
        metavar="SHARE",
    ),
    Flag("per_class", "Take N images of each class, instead of a number in all.", metavar="N"),
    Flag(
        "split",
        "Split that --images, --fraction or --per-class make smaller (default: train).",
        metavar="SPLIT",
    ),
    Flag(
        "classes",
        "Take only images of these classes, in all splits.",
        metavar="A,B,C|0-5|FILE",
    ),
    Flag(
        "drop_classes",
        "Number the classes that still have images anew, from 0 (default: the dataset's numbers, "
        "so that models of several subsets compare).",
        sets=True,
    ),
    Flag(
        "dedup",
        "Leave out images with the same bytes as another one, in all splits; reads every image.",
        sets=True,
    ),
    Flag("seed", "Seed of the random choice (default: 0)."),
)


@verb(sets=Flags(SubsetConfig, _SETTINGS), runs=Flags(SubsetRuntime, ()))
def subset(
    session: Session,
    data: flags.Data = None,
    ids: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Take only images whose ids are in this file, one per line; a split of which it "
            "names no image stays whole.",
        ),
    ] = None,
    exclude_ids: Annotated[
        Path | None,
        Option(metavar="FILE", help="Leave out images whose ids are in this file, one per line."),
    ] = None,
) -> None:
    """Example: vitctl subset --data photos --images 10k

    Select images of a dataset without copying any: the result is a dataset of row numbers, which
    every command takes as --data as long as the dataset that it was made of exists.
    """
    cfg, inputs = resolve(
        session.overrides,
        lambda: session.one("dataset", data, option="--data", needs_labels=False),
        ids=ids,
        exclude_ids=exclude_ids,
        emit=session.emit,
    )
    session.deliver("subset", cfg, inputs, runtime=session.runtime(SubsetRuntime))
