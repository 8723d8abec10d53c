"""What `vitctl scaling plot` is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import NonNegativeInt, PositiveInt
from typer import Argument, Option

from vitctl.artifacts import Artifact
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.errors import NotFoundError, UsageError
from vitctl.scaling.config import ScalingConfig
from vitctl.scaling.names import Form, FrontierRule, Unit
from vitctl.settings.config import Config
from vitctl.stage import Runtime

VERSION = 1
FIT = "scaling-fit"

FigureName = Literal[
    "compute", "model-size", "data-size", "images-seen", "schedules", "weight-decay"
]
FIGURES: tuple[FigureName, ...] = get_args(FigureName)


class SchedulesConfig(Config):
    """The schedules that are drawn. The default is the paper's figure 7: 3, 6 and 7 epochs of
    JFT-300M at batch 4096."""

    warmup_steps: NonNegativeInt = 10_000
    timescale_steps: PositiveInt = 10_000
    drop_end_steps: PositiveInt = 50_000
    cooldown_steps: PositiveInt = 25_000
    ends: tuple[PositiveInt, ...] = (221_900, 443_900, 517_900)


class PlotConfig(Config):
    """What decides the pictures.

    Attributes:
      study: how the table is studied; a fit brings its own.
      figures: None draws all that the table can feed.
      themes, formats: each figure is drawn in each.
      wd_head, wd_body: columns of the weight decay map.
      schedules: of the figure of that name.
    """

    study: ScalingConfig = ScalingConfig()
    figures: tuple[FigureName, ...] | None = None
    themes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    formats: tuple[Literal["svg", "png"], ...] = ("svg", "png")
    wd_head: str = "wd_head"
    wd_body: str = "wd_body"
    schedules: SchedulesConfig = SchedulesConfig()


@dataclass(frozen=True)
class Inputs:
    """A table of runs, or a fit of one."""

    table: Path | None
    fit: Artifact | None


@verb(configurable=True)
def plot(
    session: Session,
    table: Annotated[
        str | None,
        Argument(help="A table as for 'scaling fit', or a fit: a path, a name, an id, '-'."),
    ] = None,
    compute: Annotated[
        str | None, Option(metavar="COLUMN", help="What a run cost; 'compute' if left out.")
    ] = None,
    error: Annotated[str | None, Option(metavar="COLUMN", help="Column of errors.")] = None,
    accuracy: Annotated[
        str | None, Option(metavar="COLUMN", help="Column of accuracies, instead of errors.")
    ] = None,
    unit: Annotated[Unit | None, Option(help="Of that column; told by its values.")] = None,
    compute_unit: Annotated[
        str | None, Option(metavar="NAME", help="Name of compute's unit, for the axis.")
    ] = None,
    where: Annotated[
        list[str] | None,
        Option(metavar="CONDITION", help="Keep rows, as in model=G/14 or steps>=1000; repeatable."),
    ] = None,
    form: Annotated[Form | None, Option(help="Form of the law; saturating if left out.")] = None,
    frontier: Annotated[
        FrontierRule | None, Option(help="Which runs it is fitted to; running-minimum.")
    ] = None,
    figure: Annotated[
        list[str] | None,
        Option(metavar="|".join(FIGURES), help="Draw this one; repeatable. All the table feeds."),
    ] = None,
    theme: Annotated[
        list[str] | None, Option(metavar="light|dark", help="On white or on black; both.")
    ] = None,
) -> None:
    """Example: vitctl scaling plot runs.csv --compute core_days --accuracy inet10

    Draw the study of a table as SVG and PNG: error over compute with frontier and law, by model
    size, by data size, over images seen, the schedules, and the weight decay map.
    """
    flags: dict[str, Any] = {
        "study.columns.compute": compute,
        "study.columns.error": error,
        "study.columns.accuracy": accuracy,
        "study.columns.unit": unit,
        "study.columns.compute_unit": compute_unit,
        "study.columns.where": tuple(where) if where else None,
        "study.law.form": form,
        "study.law.frontier": frontier,
        "figures": tuple(figure) if figure else None,
        "themes": tuple(theme) if theme else None,
    }
    cfg = session.build(PlotConfig, {}, flags)
    inputs = _inputs(session, table)
    if inputs.fit is not None and "study" in session.overrides(flags):
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
    return Inputs(table=None, fit=session.one(FIT, table, option="TABLE"))
