"""What `vitctl scaling plot` is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from stages.scaling.fit import spec as fit
from stages.scaling.flags import only_one_metric
from stages.scaling.plot.spec import FIGURES, Inputs, PlotConfig
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.errors import NotFoundError, UsageError
from vitctl.scaling.names import Form, FrontierRule, Unit
from vitctl.stage import Runtime


@verb(configurable=True)
def plot(
    session: Session,
    table: Annotated[
        str | None,
        Argument(
            help="A table as for 'scaling fit', or a fit: its path, name or id, or - for stdin."
        ),
    ] = None,
    compute: Annotated[
        str | None, Option(metavar="COLUMN", help="Column of what a run cost (default: compute).")
    ] = None,
    error: Annotated[str | None, Option(metavar="COLUMN", help="Column of error rates.")] = None,
    accuracy: Annotated[
        str | None, Option(metavar="COLUMN", help="Column of accuracies, in place of error rates.")
    ] = None,
    loss: Annotated[
        str | None,
        Option(metavar="COLUMN", help="Column of losses, in place of error rates."),
    ] = None,
    unit: Annotated[
        Unit | None, Option(help="Unit of that column; none for a loss (default: by its values).")
    ] = None,
    compute_unit: Annotated[
        str | None,
        Option(metavar="NAME", help="Name of the unit of compute (default: the column's)."),
    ] = None,
    where: Annotated[
        list[str] | None,
        Option(
            metavar="CONDITION", help="Use only these rows: model=G/14, steps>=1000; repeatable."
        ),
    ] = None,
    form: Annotated[Form | None, Option(help="Form of the law (default: saturating).")] = None,
    frontier: Annotated[
        FrontierRule | None,
        Option(help="Runs that the law is fitted to (default: running-minimum)."),
    ] = None,
    figure: Annotated[
        list[str] | None,
        Option(
            metavar="|".join(FIGURES),
            help="Draw this figure; repeatable (default: all that the table has data for).",
        ),
    ] = None,
    theme: Annotated[
        list[str] | None,
        Option(metavar="light|dark", help="Draw on white or on black; repeatable (default: both)."),
    ] = None,
) -> None:
    """Example: vitctl scaling plot runs.csv --compute core_days --accuracy inet10

    Draw the study of a table as SVG and PNG: error over compute with frontier and law, by model
    size, by data size, over images seen, the schedules, and the weight decay map.
    """
    only_one_metric(error=error, accuracy=accuracy, loss=loss, unit=unit)
    flags: dict[str, Any] = {
        "study.columns.compute": compute,
        "study.columns.error": error if loss is None else loss,
        "study.columns.accuracy": accuracy,
        "study.columns.unit": unit if loss is None else "none",
        "study.columns.compute_unit": compute_unit,
        "study.columns.where": tuple(where) if where else None,
        "study.law.form": form,
        "study.law.frontier": frontier,
        "figures": tuple(figure) if figure else None,
        "themes": tuple(theme) if theme else None,
    }
    overrides = session.overrides.with_flags(flags)
    cfg = overrides.build(PlotConfig, {})
    inputs = _inputs(session, table)
    if inputs.fit is not None and "study" in overrides.tree():
        raise UsageError(
            f"{inputs.fit.path} is a fit, whose columns and form are settled",
            hint="give the table in its place, or leave these settings out",
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
    return Inputs(table=None, fit=session.one(fit.KIND, table, option="TABLE"))
