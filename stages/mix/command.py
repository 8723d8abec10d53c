"""The flags of `vitctl mix`, and what it prints."""

from __future__ import annotations

from typing import Annotated

from typer import Argument

from stages.mix.settings import resolve, written
from stages.mix.spec import MixConfig, MixRuntime
from vitctl.console import completion
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.verb import verb

_SETTINGS = (
    Flag(
        "temperature",
        "Weight each dataset by the number of its training images to the power of 1/T; a larger T "
        "draws small datasets more often.",
        metavar="T",
    ),
    Flag(
        "balance",
        "Draw every class equally often in training; works with a single dataset, too.",
        sets=True,
    ),
)


@verb(sets=Flags(MixConfig, _SETTINGS), runs=Flags(MixRuntime, ()))
def mix(
    session: Session,
    data: Annotated[
        list[str],
        Argument(
            metavar="REF[=WEIGHT]",
            help="Datasets, each with a weight relative to the others, or none of them with a "
            "weight: then every image is drawn equally often.",
            show_default=False,
            autocompletion=completion.datasets,
        ),
    ],
) -> None:
    """Example: vitctl mix photos=0.7 drawings=0.3

    Combine several datasets into one, without copying an image: training draws from each by its
    weight, classes of the same name become one, and the held-out splits are joined.

    Evenly by class: vitctl mix photos --balance
    """
    cfg, inputs = resolve(
        session.overrides,
        written(data),
        lambda reference: session.one("dataset", reference, option="REF", stdin=False),
    )
    session.deliver("mix", cfg, inputs, runtime=session.runtime(MixRuntime))
