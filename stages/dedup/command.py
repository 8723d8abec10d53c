"""The flags of `vitctl dedup`, and how they become its settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from typer import Option

from stages.dedup.settings import read_splits, resolve
from stages.dedup.spec import DedupConfig, DedupRuntime
from vitctl.console import completion, flags
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.verb import verb

_SETTINGS = (
    Flag(
        "distance",
        "Pictures whose 64-bit hashes differ in at most N bits are nearly the same (default: 6; "
        "0 to 16).",
        metavar="N",
    ),
    Flag("exact", "Compare bytes and pixels only, not how pictures look.", sets=True),
    Flag("flip", "Also find pictures that are mirrored from left to right.", sets=True),
    Flag(
        "crop",
        "Also find pictures of which up to about 5 % of each side is cut off (default: on).",
    ),
    Flag("split", "Split to remove images from (default: train).", metavar="SPLIT"),
    Flag(
        "eval_splits",
        "Splits of the --against datasets to compare with, for example test (default: all).",
        name="--against-splits",
        reads=lambda text, *, name: read_splits(text),
        metavar="SPLIT,...",
    ),
)
_RUNNING = (
    Flag(
        "workers",
        "Threads that decode images on this machine, or with --ray the most workers on all nodes "
        "of the cluster (default: one per core).",
    ),
    flags.RAY,
    replace(flags.CACHE_DIR, rare=False),
)


@verb(sets=Flags(DedupConfig, _SETTINGS), runs=Flags(DedupRuntime, _RUNNING))
def dedup(
    session: Session,
    data: flags.Data = None,
    against: Annotated[
        list[str] | None,
        Option(
            metavar="REF",
            help="Dataset whose images must not be among those of --data; repeatable (default: "
            "none, and images that --data has twice are removed).",
            autocompletion=completion.datasets,
        ),
    ] = None,
) -> None:
    """Example: vitctl dedup --data photos --against flowers --against pets

    Remove images from a dataset that other datasets have, too: the same bytes, the same pixels, or
    nearly the same picture, also rescaled, encoded again or slightly cropped. The result is a
    dataset that copies no image, with a report of the pairs. The same command continues one that
    was stopped; hashes of images are kept for the next command.

    Repetitions within a dataset: vitctl dedup --data photos
    """
    cfg, inputs = resolve(
        session.overrides,
        lambda: session.one("dataset", data, option="--data", needs_labels=False),
        against or (),
        lambda name: session.one("dataset", name, option="--against", stdin=False),
    )
    session.deliver("dedup", cfg, inputs, runtime=session.runtime(DedupRuntime))
