"""The flags of `vitctl average`, and what it prints."""

from __future__ import annotations

from typing import Annotated

from typer import Argument, Option

from stages.average.settings import newest_of, resolve
from stages.average.spec import AverageConfig
from vitctl.console import completion, flags
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.recipes.measuring import MeasuringRuntime

_SETTINGS = (
    Flag(
        "rule",
        "How weights are averaged: uniform (the default), their mean; ema, newer checkpoints "
        "count more, see --decay; greedy, from the best checkpoint down, those that do not lower "
        "top-1 on held-out images, see --data.",
    ),
    Flag(
        "decay",
        "With --rule ema: how much a checkpoint counts, as a fraction of the next newer one, for "
        "example 0.8.",
    ),
    Flag("split", "With --rule greedy: split of --data to choose by (default: val)."),
    flags.WEIGHTS,
)


@verb(
    sets=Flags(AverageConfig, _SETTINGS), runs=Flags(MeasuringRuntime, flags.LOOKING), computes=True
)
def average(
    session: Session,
    refs: Annotated[
        list[str] | None,
        Argument(
            metavar="REF",
            help="Checkpoints: RUN@STEP, path or id (default: those that are piped in).",
            autocompletion=completion.checkpoints,
        ),
    ] = None,
    last: Annotated[
        int | None,
        Option(min=2, metavar="N", help="Average the newest N checkpoints of one run."),
    ] = None,
    data: Annotated[
        str | None,
        Option(
            metavar="REF",
            help="With --rule greedy: dataset whose held-out images choose the checkpoints.",
            autocompletion=completion.datasets,
        ),
    ] = None,
) -> None:
    """Example: vitctl average RUN --last 5

    Average the weights of several checkpoints of one model into a run that every command takes: the
    last ones of a run on an open-ended schedule, which can stand in for a cooldown, or fine-tuned
    models that began from the same checkpoint.
    """
    named: list[str | None] = [*refs] if refs else [None]
    checkpoints = [
        checkpoint for ref in named for checkpoint in session.many("checkpoint", ref, option="REF")
    ]
    if last is not None:
        checkpoints = newest_of(checkpoints, count=last)
    dataset = None if data is None else session.one("dataset", data, option="--data", stdin=False)
    cfg, inputs = resolve(session.overrides, checkpoints, dataset, emit=session.emit)
    session.deliver("average", cfg, inputs, runtime=session.runtime(MeasuringRuntime))
