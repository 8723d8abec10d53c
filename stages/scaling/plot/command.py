"""The flags of `vitctl scaling plot`, and what it prints."""

from __future__ import annotations

from typing import Annotated

from typer import Argument

from stages.scaling import flags
from stages.scaling.plot.spec import FIGURES, PlotConfig
from stages.scaling.settings import STUDY, of_plot, resolve_inputs, settled_plot
from vitctl.artifacts.kinds import SCALING_FIT, SWEEP
from vitctl.console import completion
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.stage import Runtime

_SETTINGS = (
    *flags.study(STUDY),
    Flag(
        "figures",
        "Draw this figure; repeatable (default: all that the table has data for).",
        name="--figure",
        many=True,
        metavar="|".join(FIGURES),
    ),
    Flag(
        "themes",
        "Draw on white or on black; repeatable (default: both).",
        name="--theme",
        many=True,
        metavar="light|dark",
    ),
)


@verb(sets=Flags(PlotConfig, _SETTINGS))
def plot(
    session: Session,
    table: Annotated[
        str | None,
        Argument(
            help="A table or sweep as for 'scaling fit', or a fit: its path, name or id, or - for "
            "stdin (default: the newest fit).",
            autocompletion=completion.fits,
        ),
    ] = None,
    loss: flags.Loss = None,
) -> None:
    """Example: vitctl scaling plot runs.csv --compute core_days --accuracy inet10

    Draw the study of a table as SVG and PNG: error over compute with frontier and law, by model
    size, by data size, over images seen, the schedules, and the weight decay map.
    """
    inputs = resolve_inputs(
        table,
        lambda reference: session.one(
            SCALING_FIT.name, reference, option="TABLE", or_kind=SWEEP.name
        ),
    )
    cfg = of_plot(session.overrides, inputs, loss=loss)
    if session.options.print_config:
        cfg = settled_plot(cfg, inputs)
    session.deliver("scaling.plot", cfg, inputs, runtime=session.runtime(Runtime))
