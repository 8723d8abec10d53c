"""The flags of `vitctl merge`, and what it prints."""

from __future__ import annotations

from typing import Annotated

from typer import Argument

from stages.merge.settings import resolve
from stages.merge.spec import MergeRuntime
from vitctl.artifacts.kinds import DATASET_PART
from vitctl.console import completion, flags
from vitctl.console.flag import Flags
from vitctl.console.session import Session
from vitctl.console.verb import verb


@verb(runs=Flags(MergeRuntime, (flags.MAX_BAD_FRACTION, *flags.ABOUT)))
def merge(
    session: Session,
    parts: Annotated[
        list[str] | None,
        Argument(
            metavar="[PART]...",
            help="Parts that vitctl shard --part made, in any order (default: the newest). Other "
            "parts of the same dataset are looked for in the store.",
            show_default=False,
            autocompletion=completion.dataset_parts,
        ),
    ] = None,
) -> None:
    """Example: vitctl merge

    Make the dataset of the parts that vitctl shard --part made on several machines: the same
    files, id and digest as one machine makes. Shards are not copied where the parts lie on the
    same disk as the store.

    Parts on other disks: vitctl merge /disk1/photos-part-* /disk2/photos-part-*
    """
    inputs = resolve(session.several(DATASET_PART.name, parts, option="PART", into_one=True))
    session.deliver("merge", None, inputs, runtime=session.runtime(MergeRuntime))
