"""What `vitctl scaling fit` is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from stages.scaling.fit.spec import Inputs
from stages.scaling.flags import only_one_metric
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.quantities import parse_amount
from vitctl.scaling.config import ScalingConfig
from vitctl.scaling.names import Against, Form, FrontierRule, Space, Unit
from vitctl.stage import Runtime


@verb(configurable=True)
def fit(
    session: Session,
    table: Annotated[
        Path, Argument(help="CSV, TSV, JSON, JSON lines or Parquet; with one row for each run.")
    ],
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
    space: Annotated[
        Space | None,
        Option(help="Minimise squares of the error or of its logarithm (default: error)."),
    ] = None,
    huber: Annotated[
        float | None,
        Option(help="Count residuals beyond this linearly (Huber loss; default: off)."),
    ] = None,
    noise: Annotated[
        float | None,
        Option(help="Standard deviation of one run's error, as a fraction (default: estimated)."),
    ] = None,
    budget: Annotated[
        list[str] | None,
        Option(
            metavar="COMPUTE", help="Recommend a model and duration for this compute; repeatable."
        ),
    ] = None,
    compare: Annotated[
        list[str] | None,
        Option(
            metavar="MODEL:OTHER",
            help="Compare the images two models need for equal error (default: all pairs).",
        ),
    ] = None,
    against: Annotated[
        Against | None,
        Option(
            metavar="NAME", help="Compare with a law of the paper, for example imagenet-10shot."
        ),
    ] = None,
) -> None:
    """Example: vitctl scaling fit runs.csv --compute core_days --accuracy inet10

    Fit error = a (compute + d)^-b + c to the best runs of a table. Reports intervals, other forms
    of the law, residuals, bottlenecks, sample efficiency, and what to train next for a budget.
    """
    only_one_metric(error=error, accuracy=accuracy, loss=loss, unit=unit)
    flags: dict[str, Any] = {
        "columns.compute": compute,
        "columns.error": error if loss is None else loss,
        "columns.accuracy": accuracy,
        "columns.unit": unit if loss is None else "none",
        "columns.compute_unit": compute_unit,
        "columns.where": tuple(where) if where else None,
        "law.form": form,
        "law.frontier": frontier,
        "law.space": space,
        "law.huber": huber,
        "noise": noise,
        "budgets": tuple(parse_amount(text, name="--budget") for text in budget or ()) or None,
        "compare": tuple(compare) if compare else None,
        "against": against,
    }
    cfg = session.overrides.with_flags(flags).build(ScalingConfig, {})
    if session.options.print_config:
        from stages.scaling.analysis import resolve_config
        from vitctl.tables import read_table

        cfg = resolve_config(cfg, read_table(table))
    session.deliver("scaling.fit", cfg, Inputs(table), runtime=session.runtime(Runtime))
