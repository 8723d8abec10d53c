"""The flags of `vitctl scaling plot`, and how they become its settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument

from stages.scaling import flags
from stages.scaling.plot.spec import FIGURES, Inputs, PlotConfig
from vitctl.artifacts.kinds import SCALING_FIT
from vitctl.console import completion
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.errors import NotFoundError, UsageError
from vitctl.stage import Runtime

_STUDY = "study."
_SETTINGS = (
    *flags.study(_STUDY),
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
            help="A table as for 'scaling fit', or a fit: its path, name or id, or - for stdin "
            "(default: the newest fit).",
            autocompletion=completion.fits,
        ),
    ] = None,
    loss: flags.Loss = None,
) -> None:
    """Example: vitctl scaling plot runs.csv --compute core_days --accuracy inet10

    Draw the study of a table as SVG and PNG: error over compute with frontier and law, by model
    size, by data size, over images seen, the schedules, and the weight decay map.
    """
    overrides = session.overrides
    overrides = overrides.with_flags(flags.with_loss(overrides.flags, loss, prefix=_STUDY))
    cfg = overrides.build(PlotConfig, {})
    inputs = _inputs(session, table)
    if inputs.fit is not None and "study" in overrides.tree():
        raise UsageError(
            f"{inputs.fit.path} is a fit, whose columns and form are settled",
            hint="give the table instead, or leave these settings out",
        )
    if session.options.print_config and inputs.table is not None:
        from stages.scaling.plot.run import resolve
        from vitctl.tables import read_table

        cfg = resolve(cfg, read_table(inputs.table))
    session.deliver("scaling.plot", cfg, inputs, runtime=session.runtime(Runtime))


def _inputs(session: Session, table: str | None) -> Inputs:
    """A file is a table; anything else names a fit."""
    if table not in (None, "-") and Path(str(table)).is_file():
        return Inputs(table=Path(str(table)), fit=None)
    if table not in (None, "-") and Path(str(table)).suffix and not Path(str(table)).exists():
        raise NotFoundError(f"there is no table {table}")
    return Inputs(table=None, fit=session.one(SCALING_FIT.name, table, option="TABLE"))
